package main

import (
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// event is what go test -json prints; see go doc test2json.
type event struct {
	Action     string
	Package    string
	ImportPath string // of build events
	Test       string
	Output     string
	Elapsed    float64
}

// report gathers events. Output is kept for each test until it has ended, and
// printed only when it failed.
type report struct {
	out            io.Writer
	output         map[string]*strings.Builder // by package and test
	skips          map[string][]string         // tests by reason
	passed, failed int
	packages, bad  int
}

func newReport(out io.Writer) *report {
	return &report{out: out, output: make(map[string]*strings.Builder), skips: make(map[string][]string)}
}

func (r *report) print(text string) { _, _ = io.WriteString(r.out, text) }

func (r *report) add(e event) {
	id := e.Package + "." + e.Test
	switch e.Action {
	case "build-output":
		r.print(e.Output)
	case "output":
		if r.output[id] == nil {
			r.output[id] = new(strings.Builder)
		}
		r.output[id].WriteString(e.Output)
	case "pass", "fail", "skip":
		r.end(e, r.take(id))
	}
}

func (r *report) take(id string) string {
	b := r.output[id]
	delete(r.output, id)
	if b == nil {
		return ""
	}
	return b.String()
}

func (r *report) end(e event, output string) {
	if e.Test == "" {
		r.endPackage(e, output)
		return
	}
	switch e.Action {
	case "pass":
		r.passed++
	case "fail":
		r.failed++
		r.print(output)
	case "skip":
		reason := reason(output)
		r.skips[reason] = append(r.skips[reason], e.Package+"."+e.Test)
	}
}

func (r *report) endPackage(e event, output string) {
	switch e.Action {
	case "pass":
		r.packages++
		r.print(fmt.Sprintf("ok   %s (%.1fs)\n", e.Package, e.Elapsed))
	case "fail":
		r.packages++
		r.bad++
		r.print(output)
		// A test that was running when the process died has no end of its own.
		for _, id := range slices.Sorted(maps.Keys(r.output)) {
			if strings.HasPrefix(id, e.Package+".") {
				r.print(r.take(id))
			}
		}
		r.print(fmt.Sprintf("FAIL %s (%.1fs)\n", e.Package, e.Elapsed))
	}
}

// position is how testing marks a line of the log.
var position = regexp.MustCompile(`^\s*\S+\.go:\d+: `)

// reason is the last line that a skipped test logged.
func reason(output string) string {
	reason := "no reason given"
	for line := range strings.Lines(output) {
		if mark := position.FindString(line); mark != "" {
			reason = strings.TrimSpace(line[len(mark):])
		}
	}
	return reason
}

func (r *report) summary() {
	skipped := 0
	for _, tests := range r.skips {
		skipped += len(tests)
	}
	r.print(fmt.Sprintf("\n%d packages, %d of them failed; tests: %d passed, %d failed, %d did not run\n",
		r.packages, r.bad, r.passed, r.failed, skipped))
	for _, reason := range slices.Sorted(maps.Keys(r.skips)) {
		r.print(fmt.Sprintf("\ndid not run: %s\n", reason))
		for _, test := range r.skips[reason] {
			r.print("  " + test + "\n")
		}
	}
}
