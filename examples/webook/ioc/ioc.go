// Package ioc builds the app's components, one function each, in the order in
// which they depend on each other. It is wiring by hand: package app calls these
// functions from top to bottom, tests call the ones they need.
//
// Each function connects within connectTimeout or says in one line which component
// could not be had at which address, and leaves on the Closers how to undo what it
// did.
package ioc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// connectTimeout bounds the wait for each server at start. It is the time in which
// an operator can still see that nothing hangs.
const connectTimeout = 3 * time.Second

// Closers remembers how to undo what was built. The zero Closers is empty. It is
// for one goroutine.
type Closers struct {
	names []string
	undo  []func(context.Context) error
}

// Add remembers that undo closes the component called name.
func (c *Closers) Add(name string, undo func(context.Context) error) {
	c.names = append(c.names, name)
	c.undo = append(c.undo, undo)
}

// AddClose is [Closers.Add] for a Close method.
func (c *Closers) AddClose(name string, undo func() error) {
	c.Add(name, func(context.Context) error { return undo() })
}

// Close undoes everything, last built first, and forgets it. One that fails, or
// does not end before ctx does, keeps no other from its turn; the errors are
// joined.
func (c *Closers) Close(ctx context.Context) error {
	var errs []error
	for i := len(c.undo) - 1; i >= 0; i-- {
		if err := bounded(ctx, c.undo[i]); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", c.names[i], err))
		}
	}
	*c = Closers{}
	return errors.Join(errs...)
}

// bounded leaves an undo behind that ignores its context: the process is about to
// end, and a hung connection must not keep it.
func bounded(ctx context.Context, undo func(context.Context) error) error {
	done := make(chan error, 1)
	go func() { done <- undo(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	// The ones after a hung one still get a moment: most close at once.
	select {
	case err := <-done:
		return err
	case <-time.After(100 * time.Millisecond):
		return context.Cause(ctx)
	}
}

// DataDir returns the folder of the embedded servers: dir, made when it is not
// there, or when dir is empty a temporary one that is removed at the end.
func DataDir(c *Closers, dir string) (string, error) {
	if dir == "" {
		made, err := os.MkdirTemp("", "webook-")
		if err != nil {
			return "", fmt.Errorf("data: %w", err)
		}
		c.AddClose("data folder", func() error { return os.RemoveAll(made) })
		return made, nil
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("data: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("data: %w", err)
	}
	return dir, nil
}

// unreachable words the failure that operators meet most.
func unreachable(component, addr string, err error) error {
	return fmt.Errorf("%s at %s can not be used: %w", component, addr, err)
}
