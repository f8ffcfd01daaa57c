package fake

import (
	"fmt"
	"net/http"
	"time"
)

// Kind is what is wrong with a vendor. The zero Kind is Healthy.
type Kind uint8

// The kinds.
const (
	// Healthy vendors have nothing wrong.
	Healthy Kind = iota
	// Slow vendors send at once and answer after Delay.
	Slow
	// Silent vendors send and never answer: the connection stays open until the
	// caller leaves.
	Silent
	// Down vendors answer that the service is unavailable, and send nothing.
	Down
	// Lying vendors answer that they accepted, and send nothing.
	Lying
	// Refusing vendors answer with Code, and send nothing.
	Refusing
	// Garbled vendors send, and answer with what can't be read.
	Garbled

	kinds
)

var kindNames = [kinds]string{"healthy", "slow", "silent", "down", "lying", "refusing", "garbled"}

// String returns the kind's name; "invalid" for a value out of range.
func (k Kind) String() string {
	if k >= kinds {
		return "invalid"
	}
	return kindNames[k]
}

// MarshalText writes the kind's name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads a kind's name.
func (k *Kind) UnmarshalText(text []byte) error {
	for i, name := range kindNames {
		if name == string(text) {
			*k = Kind(i)
			return nil
		}
	}
	return fmt.Errorf("fake: Kind %q: must be one of %v", text, kindNames)
}

// Fault is an illness of a vendor. The zero Fault is none.
type Fault struct {
	// Kind is what is wrong.
	Kind Kind
	// Delay is how long a Slow vendor takes.
	Delay time.Duration
	// Code is what a Refusing vendor says.
	Code string
	// Share is the share of requests that meet it, up to 1; 0 is all of them.
	Share float64
}

// Set makes the vendor ill, or with the zero Fault well, for requests that come from
// now on. The error names a field that can't be; then nothing changes.
func (v *Vendor) Set(f Fault) error {
	switch {
	case f.Kind >= kinds:
		return fmt.Errorf("fake: Kind %d: must be below %d", f.Kind, kinds)
	case f.Delay < 0 || f.Kind == Slow && f.Delay == 0:
		return fmt.Errorf("fake: Delay %v: must be positive for %v", f.Delay, Slow)
	case f.Kind == Refusing && f.Code == "":
		return fmt.Errorf("fake: Code %q: must be given for %v", f.Code, Refusing)
	case !(f.Share >= 0 && f.Share <= 1):
		return fmt.Errorf("fake: Share %v: must be between 0 and 1", f.Share)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.fault = f
	return nil
}

// Fault returns the one that is set.
func (v *Vendor) Fault() Fault {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.fault
}

// finish answers a request whose messages were dealt with.
func (f Fault) finish(w http.ResponseWriter, r *http.Request, answer func(http.ResponseWriter, []result), results []result) {
	switch f.Kind {
	case Slow:
		select {
		case <-r.Context().Done():
		case <-time.After(f.Delay):
			answer(w, results)
		}
	case Silent:
		<-r.Context().Done()
	case Garbled:
		_, _ = w.Write([]byte(`{"Resp`))
	default:
		answer(w, results)
	}
}
