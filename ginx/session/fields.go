package session

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Session is the server-side session of one request: fields of text, and who is
// logged in. It is safe for concurrent use. But changes reach the browser in a
// header, so make them before the response is written, and not from a goroutine
// beside a handler that sets headers itself.
type Session struct {
	owner  *ServerSide
	header http.Header // of the response

	mu     sync.Mutex
	ref    string // "" for none
	record Record // zero until verified
}

// Get reads a field; false when the session, or the field, does not exist.
func (x *Session) Get(ctx context.Context, field string) (value string, ok bool, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	r, err := x.access(ctx, Access{Get: []string{field}})
	if errors.Is(err, ErrRevoked) && x.record.UserID == 0 {
		return "", false, nil
	}
	if err != nil {
		return "", false, refuse(err)
	}
	value, ok = r.Fields[field]
	return value, ok, nil
}

// Set writes a field, and leaves the others as they are. When there is no session
// yet it starts one that nobody is logged in to; limit the rate of public routes
// that do.
func (x *Session) Set(ctx context.Context, field, value string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	set := Access{Set: map[string]string{field: value}, TTL: x.owner.cfg.IdleTTL, After: x.owner.cfg.Interval}
	r, err := x.access(ctx, set)
	if errors.Is(err, ErrRevoked) && x.record.UserID == 0 {
		// Never under the reference that the client brought.
		if err = x.create(ctx, 0); err == nil {
			r, err = x.access(ctx, set)
		}
	}
	if err != nil {
		return refuse(err)
	}
	x.adopt(r)
	return nil
}

// Delete deletes a field, and leaves the others as they are.
func (x *Session) Delete(ctx context.Context, field string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	r, err := x.access(ctx, Access{Delete: []string{field}})
	if errors.Is(err, ErrRevoked) && x.record.UserID == 0 {
		return nil
	}
	if err != nil {
		return refuse(err)
	}
	x.adopt(r)
	return nil
}

// Start logs a user in who has just proved who they are: in a new session, under
// a new id and without the fields of the one before, which ends. So nobody can
// prepare a session for somebody else.
func (x *Session) Start(ctx context.Context, userID int64) error {
	if userID <= 0 {
		return fmt.Errorf("session: user id %d: must be positive", userID)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	err := x.drop(ctx)
	if err == nil {
		err = x.create(ctx, userID)
	}
	return refuse(err)
}

// End logs out: the session ends and the cookie goes. Other nodes notice within
// [ServerSideConfig.CacheTTL]. When the store does not answer, the error is
// [ErrUnavailable] and nothing has changed.
func (x *Session) End(ctx context.Context) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.drop(ctx); err != nil {
		return refuse(err)
	}
	x.owner.cfg.Cookie.write(x.header, "", 0)
	return nil
}

// access asks the store; the caller holds the lock.
func (x *Session) access(ctx context.Context, a Access) (r Record, err error) {
	if x.ref == "" {
		return r, ErrRevoked
	}
	err = x.owner.live.call(ctx, func(ctx context.Context) (err error) {
		r, err = x.owner.store.Access(ctx, x.ref, a)
		return err
	})
	return r, err
}

func (x *Session) create(ctx context.Context, userID int64) error {
	o, now := x.owner, time.Now()
	r := Record{ID: rand.Text(), UserID: userID, EndsAt: now.Add(o.cfg.SessionTTL).Truncate(time.Millisecond)}
	err := o.live.call(ctx, func(ctx context.Context) (err error) {
		r.Ref, err = o.store.Create(ctx, r, o.cfg.IdleTTL)
		return err
	})
	if err != nil {
		return err
	}
	o.live.learn(r.Ref, verdict[Record]{value: r, asked: now})
	r.Extended = true
	x.adopt(r)
	return nil
}

func (x *Session) drop(ctx context.Context) error {
	if x.ref == "" {
		return nil
	}
	err := x.owner.live.call(ctx, func(ctx context.Context) error { return x.owner.store.Drop(ctx, x.ref) })
	if err != nil {
		return err
	}
	x.owner.live.bury(x.ref)
	x.ref, x.record = "", Record{}
	return nil
}

// adopt takes over what the store said, and tells the browser of a new reference
// or a longer life.
func (x *Session) adopt(r Record) {
	moved := r.Ref != x.ref || r.Extended
	x.ref, x.record = r.Ref, r
	if moved {
		life := min(x.owner.cfg.IdleTTL, time.Until(r.EndsAt))
		x.owner.cfg.Cookie.write(x.header, r.Ref, life)
	}
}
