package template

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Errors of a [Desk].
var (
	// ErrNoRequest means that nobody asked under this id.
	ErrNoRequest = errors.New("smsx/template: no such request")
	// ErrDecided means that a request was decided before, otherwise.
	ErrDecided = errors.New("smsx/template: request is decided")
	// ErrOwnRequest means that somebody decides on what they asked for.
	ErrOwnRequest = errors.New("smsx/template: own request")
)

// State is how far a [Request] is. The zero State is Waiting.
type State uint8

// The states.
const (
	// Waiting for somebody to decide.
	Waiting State = iota
	// Approved: it has a token.
	Approved
	// Denied for ever.
	Denied
	// Withdrawn: it had a token, which is refused from now on.
	Withdrawn
)

// Request is somebody's wish for a token. It holds no token.
type Request struct {
	// ID is the request's, and the token's.
	ID string
	// By is who asked, and Decided who decided last.
	By, Decided string
	// State is what was decided, at a time.
	State State
	At    time.Time
	// Grant is what was asked for.
	Grant Grant
}

// Requests keeps requests, as a table of your database or [MemoryRequests] does. It
// must be safe for concurrent use.
type Requests interface {
	// Put stores r if the request of r.ID has the state that from tells, or if there
	// is none and from is nil; stored tells whether it did.
	Put(ctx context.Context, r Request, from *State) (stored bool, err error)
	// Get returns a request, or ErrNoRequest.
	Get(ctx context.Context, id string) (Request, error)
}

// Desk is where tokens are asked for and given out: nobody approves their own
// request. It is safe for concurrent use. Make it with [NewDesk].
type Desk struct {
	requests Requests
	issuer   *Issuer
}

// NewDesk returns a desk whose tokens issuer signs.
func NewDesk(requests Requests, issuer *Issuer) (*Desk, error) {
	if requests == nil || issuer == nil {
		return nil, errors.New("smsx/template: requests and issuer must be given")
	}
	return &Desk{requests, issuer}, nil
}

// Ask files a request of somebody for a grant, whose ID is the request's, drawn here.
func (d *Desk) Ask(ctx context.Context, by string, g Grant) (Request, error) {
	g.ID = rand.Text()
	err := g.validate()
	if by == "" {
		err = errors.Join(err, errors.New("smsx/template: by is empty"))
	}
	if err != nil {
		return Request{}, err
	}
	r := Request{ID: g.ID, By: by, At: time.Now(), Grant: g}
	switch stored, err := d.requests.Put(ctx, r, nil); {
	case err != nil:
		return Request{}, fmt.Errorf("smsx/template: ask: %w", err)
	case !stored:
		return Request{}, ErrDecided
	}
	return r, nil
}

// Approve returns the token of a request. Asking again, after the first answer was
// lost, returns a token of the same grant and id, so that revoking it ends both.
func (d *Desk) Approve(ctx context.Context, id, by string) (string, error) {
	r, err := d.decide(ctx, id, by, Waiting, Approved)
	if err != nil {
		return "", err
	}
	return d.issuer.Issue(r.Grant)
}

// Deny ends a request that waits.
func (d *Desk) Deny(ctx context.Context, id, by string) error {
	_, err := d.decide(ctx, id, by, Waiting, Denied)
	return err
}

// Revoke takes an approved request's token back. Who asked may do it too.
func (d *Desk) Revoke(ctx context.Context, id, by string) error {
	_, err := d.decide(ctx, id, by, Approved, Withdrawn)
	return err
}

// Revoked tells whether a token is not, or no more, approved here. Give it to
// [WithRevoked], behind a cache where a look-up for each message is too much.
func (d *Desk) Revoked(ctx context.Context, id string) (bool, error) {
	r, err := d.requests.Get(ctx, id)
	if errors.Is(err, ErrNoRequest) {
		return true, nil
	}
	return r.State != Approved, err
}

// decide moves a request on, once however often and by however many it is asked.
func (d *Desk) decide(ctx context.Context, id, by string, from, to State) (Request, error) {
	r, err := d.requests.Get(ctx, id)
	switch {
	case err != nil:
		return Request{}, fmt.Errorf("smsx/template: decide: %w", err)
	case by == "" || by == r.By && to != Withdrawn:
		return Request{}, ErrOwnRequest
	case r.State == to:
		return r, nil
	case r.State != from:
		return Request{}, ErrDecided
	}
	r.State, r.Decided, r.At = to, by, time.Now()
	switch stored, err := d.requests.Put(ctx, r, &from); {
	case err != nil:
		return Request{}, fmt.Errorf("smsx/template: decide: %w", err)
	case !stored: // somebody else was faster
		return Request{}, ErrDecided
	}
	return r, nil
}

// MemoryRequests are requests in memory, for tests and one instance. It is safe for
// concurrent use; the zero value is ready.
type MemoryRequests struct {
	mu   sync.Mutex
	byID map[string]Request
}

// Put implements [Requests].
func (m *MemoryRequests) Put(_ context.Context, r Request, from *State) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old, found := m.byID[r.ID]
	if found != (from != nil) || found && old.State != *from {
		return false, nil
	}
	if m.byID == nil {
		m.byID = map[string]Request{}
	}
	m.byID[r.ID] = r
	return true, nil
}

// Get implements [Requests].
func (m *MemoryRequests) Get(_ context.Context, id string) (Request, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, found := m.byID[id]
	if !found {
		return Request{}, ErrNoRequest
	}
	return r, nil
}
