// Package ratelimit measures Bulwark's local limiters beside those that one would
// otherwise use, in one process. Run it several times, and read ratios:
//
//	GOWORK=off go test -bench . -count 6 ./ratelimit
package ratelimit
