package chain

import (
	"errors"
	"fmt"

	"github.com/bulwark-go/bulwark/smsx"
)

// The sentinels.
var (
	// ErrOrder means that decorators are stacked in an order that loses or doubles
	// something.
	ErrOrder = errors.New("chain: wrong order")
	// ErrConfig means that settings are wrong; each violation names its field.
	ErrConfig = errors.New("chain: invalid settings")
)

// Rank is the place of a layer, from the outside in.
type Rank uint8

// The ranks. Of two layers of a stack the lower rank is outside. The zero Rank is
// none.
const (
	// Observing layers see each message once.
	Observing Rank = iota + 1
	// Authorising layers decide whether the caller may send this.
	Authorising
	// Deduplicating layers make one message of two with the same id.
	Deduplicating
	// Charging layers reserve, and then commit or refund, a quota.
	Charging
	// Rescuing layers store for later.
	Rescuing
	// Retrying layers try again.
	Retrying
	// Switching layers choose a provider.
	Switching
	// Breaking layers keep calls from a provider that is down.
	Breaking
	// Limiting layers keep to a provider's rate.
	Limiting

	ranks
)

var rankNames = [ranks]string{"none", "observing", "authorising", "deduplicating", "charging", "rescuing", "retrying", "switching", "breaking", "limiting"}

// String returns the rank's name; "invalid" for a value out of range.
func (r Rank) String() string {
	if r >= ranks {
		return "invalid"
	}
	return rankNames[r]
}

// single tells whether a second layer of the rank would do its work twice. A failover
// may well choose among failovers.
func (r Rank) single() bool { return r >= Deduplicating && r <= Retrying }

// Layer is one decorator of a stack.
type Layer struct {
	// Rank is its place.
	Rank Rank
	// Wrap returns next decorated. It must hold the contract of [smsx.Service].
	Wrap func(next smsx.Service) (smsx.Service, error)
}

// ranked is a service of which it is known what it does.
type ranked interface{ rank() Rank }

// layered gives a rank to whatever a layer made.
type layered struct {
	smsx.Service
	at Rank
}

func (l layered) rank() Rank { return l.at }

// rankOf returns the rank of the outermost layer; 0 when it is not known.
func rankOf(s smsx.Service) Rank {
	if r, ok := s.(ranked); ok {
		return r.rank()
	}
	return 0
}

// fits tells why a layer of a rank must not go around inner.
func fits(outer Rank, inner smsx.Service) error {
	if inner == nil {
		return fmt.Errorf("%w: nothing below %v", ErrConfig, outer)
	}
	switch below := rankOf(inner); {
	case below == 0:
	case below < outer:
		return fmt.Errorf("%w: %v outside of %v", ErrOrder, outer, below)
	case below == outer && outer.single():
		return fmt.Errorf("%w: %v twice", ErrOrder, outer)
	}
	return nil
}

// Stack puts layers around a service: the first of them is the outermost. It returns
// [ErrOrder] for an order of ranks other than from low to high, and for a second
// layer of a rank that would look up, charge, store or retry twice.
func Stack(inner smsx.Service, layers ...Layer) (smsx.Service, error) {
	var errs []error
	for i, l := range layers {
		if l.Rank == 0 || l.Rank >= ranks {
			errs = append(errs, fmt.Errorf("%w: layers[%d].Rank %d: must be one of the ranks", ErrConfig, i, l.Rank))
		}
		if l.Wrap == nil {
			errs = append(errs, fmt.Errorf("%w: layers[%d].Wrap: must be given", ErrConfig, i))
		}
	}
	if inner == nil {
		errs = append(errs, fmt.Errorf("%w: service: must be given", ErrConfig))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	s := inner
	for i := len(layers) - 1; i >= 0; i-- {
		l := layers[i]
		if err := fits(l.Rank, s); err != nil {
			return nil, err
		}
		wrapped, err := l.Wrap(s)
		if err != nil {
			return nil, fmt.Errorf("chain: %v layer: %w", l.Rank, err)
		}
		if wrapped == nil {
			return nil, fmt.Errorf("%w: layers[%d].Wrap returned nothing", ErrConfig, i)
		}
		s = layered{wrapped, l.Rank}
	}
	return s, nil
}
