// Package doctest keeps the documentation true: its tests compare the Go snippets
// of the Markdown files with the Examples that they are taken from, and follow the
// files' relative links.
//
// A snippet names its Example in the line above it:
//
//	<!-- example: logger/example_test.go Example -->
//
// and is rewritten from it by `go test ./internal/doctest -update`.
package doctest
