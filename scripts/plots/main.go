// Command plots draws the figures of docs/img from the library's own simulations, whose
// chance comes from fixed seeds: the same ones each time.
//
//	go run ./scripts/plots
//
// A test compares them with what is committed. To add one, write a function that
// returns the text of an SVG, and name it in plots.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

// plots are all of them, by file name.
var plots = map[string]func() string{
	"judgement-delay.svg":    judgementDelay,
	"judgement-tradeoff.svg": judgementTradeoff,
	"degrade-step.svg":       degradeStep,
	"degrade-levels.svg":     degradeLevels,
	"degrade-goodput.svg":    degradeGoodput,
	"pumping-guard.svg":      pumpingGuard,
}

func main() {
	dir := flag.String("dir", filepath.Join("docs", "img"), "where to write them")
	flag.Parse()
	if err := write(*dir); err != nil {
		fmt.Fprintln(os.Stderr, "plots:", err)
		os.Exit(1)
	}
}

func write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, draw := range plots {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(draw()), 0o644); err != nil {
			return err
		}
	}
	return nil
}
