module github.com/bulwark-go/bulwark/bench

go 1.26.0

require github.com/bulwark-go/bulwark v0.0.0-00010101000000-000000000000

replace github.com/bulwark-go/bulwark => ..
