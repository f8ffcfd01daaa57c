// Command ratios turns the output of go test -bench -benchmem into tables that
// set ours beside the peers: a ratio holds on other machines, nanoseconds do not.
//
//	go test -bench . -benchmem -count 6 ./... | go run ./scripts/ratios
//
// What one Benchmark function runs belongs together, apart for each serial,
// parallel or size at the end of the names. Ours are the entries whose names begin
// with "ours" or "bulwark"; each line's ratio is to the first of them. Each figure
// is the median of its runs.
package main

import (
	"fmt"
	"os"
)

func main() {
	groups, err := parse(os.Stdin)
	if err == nil && len(groups) == 0 {
		err = fmt.Errorf("no benchmark results on the input")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "ratios:", err)
		os.Exit(1)
	}
	for _, g := range groups {
		g.print(os.Stdout)
	}
}
