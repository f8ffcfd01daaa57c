package service

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
	"unicode/utf8"

	"github.com/dlclark/regexp2"
	"golang.org/x/crypto/bcrypt"

	"github.com/bulwark-go/bulwark/examples/webook/internal/errs"
)

const (
	passwordMin = 8  // characters
	passwordMax = 72 // bytes: bcrypt reads no more
	passwordMsg = "the password needs 8 characters to 72 bytes, with a letter, a digit and one of $@!%*#?&"
)

// passwords checks and hashes passwords. It is safe for concurrent use.
type passwords struct {
	rule *regexp2.Regexp
	cost int
	// decoy is the hash that a login of nobody is compared with, at the same
	// cost, so that its answer takes as long as a wrong password's.
	decoy []byte
	// slots bounds the hashes under way to the processors: more at once would be
	// no faster, and each request for anything else would queue behind them all.
	slots chan struct{}
}

func newPasswords(cost int) (passwords, error) {
	// Look-aheads are why this is not the standard library's regexp. They
	// backtrack, hence the bounded input and the time limit.
	rule, err := regexp2.Compile(`^(?=.*[A-Za-z])(?=.*[0-9])(?=.*[$@!%*#?&])`, regexp2.Singleline)
	if err != nil {
		return passwords{}, fmt.Errorf("service: password rule: %w", err)
	}
	rule.MatchTimeout = 100 * time.Millisecond
	decoy, err := bcrypt.GenerateFromPassword([]byte("nobody's password"), cost)
	if err != nil {
		return passwords{}, fmt.Errorf("service: bcrypt cost %d: %w", cost, err)
	}
	return passwords{rule: rule, cost: cost, decoy: decoy, slots: make(chan struct{}, runtime.GOMAXPROCS(0))}, nil
}

func (p passwords) check(password string) error {
	if len(password) > passwordMax || utf8.RuneCountInString(password) < passwordMin {
		return errs.InvalidInput(passwordMsg)
	}
	ok, err := p.rule.MatchString(password)
	if err != nil {
		return fmt.Errorf("service: password rule: %w", err)
	}
	if !ok {
		return errs.InvalidInput(passwordMsg)
	}
	return nil
}

func (p passwords) hash(ctx context.Context, password string) (string, error) {
	if err := p.enter(ctx); err != nil {
		return "", err
	}
	defer p.leave()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), p.cost)
	if err != nil {
		return "", fmt.Errorf("service: hash password: %w", err)
	}
	return string(hash), nil
}

// match tells whether password belongs to hash. An empty hash belongs to nobody,
// and finding that out takes as long as a comparison.
func (p passwords) match(ctx context.Context, hash, password string) (bool, error) {
	if err := p.enter(ctx); err != nil {
		return false, err
	}
	defer p.leave()
	// A password longer than any account's never matches; it is cut because
	// bcrypt would refuse it at once, and by that speed tell nothing good.
	known := hash != "" && len(password) <= passwordMax
	if !known {
		hash = string(p.decoy)
	}
	password = password[:min(len(password), passwordMax)]
	err := bcrypt.CompareHashAndPassword([]byte(hash), []byte(password))
	switch {
	case err == nil:
		return known, nil
	case errors.Is(err, bcrypt.ErrMismatchedHashAndPassword):
		return false, nil
	default:
		return false, fmt.Errorf("service: compare password: %w", err)
	}
}

// enter waits for a slot; whoever has no time left for that gives up.
func (p passwords) enter(ctx context.Context) error {
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("service: wait to hash: %w", ctx.Err())
	}
}

func (p passwords) leave() { <-p.slots }
