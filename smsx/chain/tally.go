package chain

import (
	"errors"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/smsx"
)

// tally puts the receipt of a message together from those of several attempts, each
// for the numbers that are left. It belongs to one goroutine.
type tally struct {
	m       smsx.Message
	results []smsx.Result
	left    []int // places of the numbers to be sent to
}

func newTally(m smsx.Message) *tally {
	t := &tally{m: m, results: smsx.Same(m, smsx.Result{Outcome: smsx.Rejected, Reason: smsx.ReasonDown}).Results}
	for i := range m.Numbers {
		t.left = append(t.left, i)
	}
	return t
}

// part is the message to the numbers that are left.
func (t *tally) part() smsx.Message {
	if len(t.left) == len(t.m.Numbers) {
		return t.m
	}
	part := t.m
	part.Numbers = make([]smsx.Number, len(t.left))
	for i, place := range t.left {
		part.Numbers[i] = t.m.Numbers[place]
	}
	return part
}

// add takes the receipt of the part, and keeps those numbers that again says may be
// sent to once more. It returns the receipt, mended if it did not fit.
func (t *tally) add(receipt smsx.Receipt, err error, again func(smsx.Result) bool) smsx.Receipt {
	results := receipt.Results
	if len(results) != len(t.left) {
		o := smsx.OutcomeOf(err)
		if o == smsx.Accepted { // so it says, and not of whom
			o = smsx.Unknown
		}
		results = smsx.Same(t.part(), smsx.Result{Outcome: o}).Results
	}
	hopeless := errors.Is(err, smsx.ErrMessage) || errors.Is(err, smsx.ErrExpired)
	var left []int
	for i, place := range t.left {
		t.results[place] = results[i]
		t.results[place].Number = t.m.Numbers[place]
		if !hopeless && again(results[i]) {
			left = append(left, place)
		}
	}
	t.left = left
	return smsx.Receipt{Results: results}
}

// end returns the receipt of the whole message.
func (t *tally) end(cause error) (smsx.Receipt, error) {
	r := smsx.Receipt{Results: t.results}
	return r, r.Err(cause)
}

// doubtful tells whether a number whose outcome is unknown may be sent to again.
func doubtful(m smsx.Message, r smsx.Result) bool {
	return r.Outcome == smsx.Unknown && m.Class == smsx.AtLeastOnce
}

// ours tells whether an error is a refusal of this side: nobody was asked.
func ours(err error) bool {
	return errors.Is(err, ratelimit.ErrLimited) || errors.Is(err, circuitbreaker.ErrOpen)
}
