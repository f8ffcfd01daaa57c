//go:build unix

// Command mutants proves that tests notice when a fix goes missing. Each file of
// testdata/mutants is a patch that removes one, headed by the command that must
// fail with it:
//
//	Kills: go test ./lock -run 'TestName$' -count=1
//	diff --git ...
//
// The command runs each patch against a copy of the working tree, after seeing
// the test pass without it. A patch that no longer applies, a mutant that does
// not compile and a test that passes all the same are failures. With -check it
// only tells whether the patches apply.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"time"
)

func main() {
	check := flag.Bool("check", false, "only tell whether the patches apply")
	only := flag.String("only", "*", "a `pattern` of the mutants to run, as in ginx-*")
	jobs := flag.Int("j", 2, "how many to run at once")
	limit := flag.Duration("timeout", 5*time.Minute, "of one command")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	root, err := os.Getwd()
	if err == nil {
		err = run(ctx, config{root: root, check: *check, only: *only, jobs: max(1, *jobs), limit: *limit})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

type config struct {
	root  string
	check bool
	only  string
	jobs  int
	limit time.Duration
}

func run(ctx context.Context, cfg config) error {
	mutants, err := load(filepath.Join(cfg.root, "testdata", "mutants"), cfg.only)
	if err != nil {
		return err
	}
	copies := make([]*workspace, min(cfg.jobs, len(mutants)))
	for i := range copies {
		if copies[i], err = copyTree(ctx, cfg.root); err != nil {
			return err
		}
		defer copies[i].remove()
	}
	failed := examine(ctx, cfg, copies, mutants)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case failed > 0:
		return fmt.Errorf("%d of %d failed", failed, len(mutants))
	case cfg.check:
		fmt.Printf("all %d patches apply\n", len(mutants))
	default:
		fmt.Printf("all %d mutants were killed\n", len(mutants))
	}
	return nil
}

// examine hands the mutants to the copies, prints each verdict and counts the
// bad ones.
func examine(ctx context.Context, cfg config, copies []*workspace, mutants []mutant) (failed int) {
	todo := make(chan mutant)
	var mu sync.Mutex
	var work sync.WaitGroup
	base := newBaseline()
	for _, w := range copies {
		work.Go(func() {
			for m := range todo {
				begin := time.Now()
				err := w.examine(ctx, cfg, base, m)
				mu.Lock()
				if err != nil {
					failed++
					fmt.Printf("FAIL %s: %v\n", m.name, err)
				} else if !cfg.check {
					fmt.Printf("ok   %s (%.1fs)\n", m.name, time.Since(begin).Seconds())
				}
				mu.Unlock()
			}
		})
	}
	for _, m := range mutants {
		if ctx.Err() != nil {
			break
		}
		todo <- m
	}
	close(todo)
	work.Wait()
	return failed
}
