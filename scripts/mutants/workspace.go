//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// workspace is a copy of the tree that mutants may change.
type workspace struct{ dir string }

// copyTree copies the working tree as it is: what git tracks and what it would
// offer to track, with local changes.
func copyTree(ctx context.Context, root string) (*workspace, error) {
	list := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = root
	names, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("list the tree: %w", err)
	}
	// Outside of the repository: git apply inside of one skips what it does not track.
	dir, err := os.MkdirTemp("", "bulwark-mutants-")
	if err != nil {
		return nil, err
	}
	w := &workspace{dir: dir}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names), "\x00"), "\x00") {
		if err := copyFile(filepath.Join(root, name), filepath.Join(dir, name)); err != nil {
			w.remove()
			return nil, err
		}
	}
	return w, nil
}

func copyFile(from, to string) error {
	content, err := os.ReadFile(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // deleted, not yet committed
	}
	if err != nil {
		return err
	}
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, content, info.Mode().Perm())
}

func (w *workspace) remove() { _ = os.RemoveAll(w.dir) }

// examine returns nil for a mutant that is killed, or that applies when only that
// is asked.
func (w *workspace) examine(ctx context.Context, cfg config, base *baseline, m mutant) error {
	if cfg.check {
		return w.apply(ctx, m, "--check")
	}
	if err := base.passes(m.command, func() error { return w.mustPass(ctx, cfg.limit, m.command) }); err != nil {
		return err
	}
	if err := w.apply(ctx, m); err != nil {
		return err
	}
	verdict := w.mustFail(ctx, cfg.limit, m.command)
	return errors.Join(verdict, w.apply(context.WithoutCancel(ctx), m, "--reverse"))
}

func (w *workspace) apply(ctx context.Context, m mutant, flags ...string) error {
	cmd := exec.CommandContext(ctx, "git", append(append([]string{"apply"}, flags...), m.path)...)
	cmd.Dir = w.dir
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("does not apply: %s", bytes.TrimSpace(output))
	}
	return nil
}

func (w *workspace) mustPass(ctx context.Context, limit time.Duration, command string) error {
	output, err := w.test(ctx, limit, command)
	switch {
	case err != nil:
		return fmt.Errorf("fails without the mutant: %s: %w\n%s", command, err, tail(output))
	case bytes.Contains(output, []byte("[no tests to run]")), bytes.Contains(output, []byte("[no test files]")):
		return fmt.Errorf("runs no test: %s", command)
	}
	return nil
}

// failedPackage is go test's line for a package whose tests ran and failed; one
// that did not build has no time.
var failedPackage = regexp.MustCompile(`(?m)^FAIL\t\S+\t[0-9.]+s`)

func (w *workspace) mustFail(ctx context.Context, limit time.Duration, command string) error {
	output, err := w.test(ctx, limit, command)
	switch {
	case err == nil:
		return fmt.Errorf("SURVIVED: %s", command)
	case !failedPackage.Match(output):
		return fmt.Errorf("no test failed, but: %w\n%s", err, tail(output))
	}
	return nil
}

// test runs a go test command line in the copy.
func (w *workspace) test(ctx context.Context, limit time.Duration, command string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Dir = w.dir
	// go test runs the test binary as its child: end the whole group.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	output, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return output, fmt.Errorf("no verdict: %w", ctx.Err())
	}
	return output, err
}

// tail is the end of a long output.
func tail(output []byte) []byte {
	const most = 2000
	if len(output) > most {
		output = output[len(output)-most:]
	}
	return bytes.TrimSpace(output)
}

// baseline remembers which commands pass without a mutant.
type baseline struct {
	mu   sync.Mutex
	seen map[string]func() error
}

func newBaseline() *baseline { return &baseline{seen: make(map[string]func() error)} }

// passes asks once for each command, whoever comes first.
func (b *baseline) passes(command string, ask func() error) error {
	b.mu.Lock()
	once, ok := b.seen[command]
	if !ok {
		once = sync.OnceValue(ask)
		b.seen[command] = once
	}
	b.mu.Unlock()
	return once()
}
