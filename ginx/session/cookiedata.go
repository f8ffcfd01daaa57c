package session

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"
)

// MaxRef bounds a sealed session in bytes: browsers keep cookies up to 4096, name
// and attributes included.
const MaxRef = 3800

// CookieData is a [DataStore] that keeps sessions in the cookie itself, encrypted
// and authenticated with AES-256-GCM. It needs no memory and no network. In
// return it can't forget: who has copied a cookie can use that copy until it
// ends, after a logout or a change too. Take another store where that matters.
// Who has the keys makes sessions: services that do not share users must not
// share keys. It is safe for concurrent use.
type CookieData struct {
	current string
	seals   map[string]cipher.AEAD
}

// NewCookieData returns a CookieData. The first key seals, all of them open;
// rules for keys as for [Keys].
func NewCookieData(keys ...Key) (*CookieData, error) {
	if err := errors.Join(checkKeys("Cookie", keys)...); err != nil {
		return nil, err
	}
	d := &CookieData{current: keys[0].ID, seals: make(map[string]cipher.AEAD, len(keys))}
	for _, k := range keys {
		if strings.ContainsFunc(k.ID, notInID) {
			return nil, fmt.Errorf("session: Cookie key %q: id may have letters, digits, - and _ only", k.ID)
		}
		derived, err := hkdf.Key(sha256.New, k.Secret, nil, "bulwark session cookie", 32)
		if err != nil {
			return nil, fmt.Errorf("session: Cookie key %q: %w", k.ID, err)
		}
		block, err := aes.NewCipher(derived)
		if err != nil {
			return nil, fmt.Errorf("session: Cookie key %q: %w", k.ID, err)
		}
		if d.seals[k.ID], err = cipher.NewGCMWithRandomNonce(block); err != nil {
			return nil, fmt.Errorf("session: Cookie key %q: %w", k.ID, err)
		}
	}
	return d, nil
}

func notInID(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
}

// Create implements [DataStore].
func (d *CookieData) Create(ctx context.Context, r Record, ttl time.Duration) (string, error) {
	now := time.Now()
	return d.seal(sealed{
		id: r.ID, user: r.UserID, end: r.EndsAt.UnixMilli(),
		extended: now.UnixMilli(), expires: sooner(now.Add(ttl), r.EndsAt).UnixMilli(),
	})
}

// Access implements [DataStore]. The error is [ErrTooLarge] when the session
// would exceed [MaxRef].
func (d *CookieData) Access(ctx context.Context, ref string, a Access) (Record, error) {
	s, err := d.open(ref)
	now := time.Now()
	if err != nil {
		return Record{}, err
	}
	if now.UnixMilli() >= s.expires {
		return Record{}, ErrRevoked
	}
	r := Record{ID: s.id, UserID: s.user, EndsAt: time.UnixMilli(s.end), Ref: ref}
	if a.due(now, time.UnixMilli(s.extended)) {
		r.Extended, s.extended = true, now.UnixMilli()
		s.expires = sooner(now.Add(a.TTL), r.EndsAt).UnixMilli()
	}
	maps.Copy(s.fields, a.Set)
	for _, field := range a.Delete {
		delete(s.fields, field)
	}
	if r.Extended || len(a.Set) > 0 || len(a.Delete) > 0 {
		if r.Ref, err = d.seal(s); err != nil {
			return Record{}, err
		}
	}
	r.Fields = a.read(s.fields)
	return r, nil
}

// Drop implements [DataStore]: there is nothing to forget.
func (d *CookieData) Drop(context.Context, string) error { return nil }

func (d *CookieData) seal(s sealed) (string, error) {
	box := d.seals[d.current].Seal(nil, nil, s.append(nil), []byte(d.current))
	ref := d.current + "." + base64.RawURLEncoding.EncodeToString(box)
	if len(ref) > MaxRef {
		return "", fmt.Errorf("%w: %d bytes sealed, %d fit", ErrTooLarge, len(ref), MaxRef)
	}
	return ref, nil
}

func (d *CookieData) open(ref string) (sealed, error) {
	id, text, _ := strings.Cut(ref, ".")
	seal, ok := d.seals[id]
	if !ok || len(ref) > MaxRef {
		return sealed{}, ErrRevoked
	}
	box, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return sealed{}, ErrRevoked
	}
	plain, err := seal.Open(nil, nil, box, []byte(id))
	if err != nil {
		return sealed{}, ErrRevoked
	}
	s, ok := parseSealed(plain)
	if !ok {
		return sealed{}, ErrRevoked
	}
	return s, nil
}
