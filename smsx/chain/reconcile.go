package chain

import (
	"context"
	"errors"

	"github.com/bulwark-go/bulwark/failover/async"
	"github.com/bulwark-go/bulwark/smsx"
)

// Finder asks a vendor for its record of a message to one number, as aliyun.Service
// does: Accepted when it was sent, Rejected when it certainly did not arrive, Unknown
// when the vendor has none, or none yet. It must send nothing.
type Finder interface {
	Find(ctx context.Context, m smsx.Message) (smsx.Outcome, error)
}

// Reconcile is the option for [NewRescue] that finds out what became of messages whose
// outcome is unknown, by asking finders: those of every vendor that may have got them.
// One that has sent a message ends it; one that has it on record as failed makes it be
// sent again, unless another cannot be asked. Messages without an ID stay unknown.
// [async.Config.Checks] says how often they are asked.
func Reconcile(finders ...Finder) async.Option {
	return async.WithReconciler(func(ctx context.Context, m smsx.Message) (async.Verdict, error) {
		verdict := async.Uncertain
		var errs []error
		for _, f := range finders {
			switch o, err := f.Find(ctx, m); {
			case err != nil:
				errs = append(errs, err)
			case o == smsx.Accepted:
				return async.Succeeded, nil
			case o == smsx.Rejected:
				verdict = async.Failed
			}
		}
		return verdict, errors.Join(errs...)
	})
}
