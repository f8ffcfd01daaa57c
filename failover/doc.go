// Package failover sends each call to one of several providers of the same thing,
// and elsewhere when that is both useful and allowed.
//
//	group, err := failover.NewGroup(failover.Config{Name: "sms"}, []failover.Candidate[Sender]{
//		{Name: "ali", Value: ali}, {Name: "tencent", Value: tencent},
//	})
//	receipt, err := failover.Do(ctx, group, func(ctx context.Context, s Sender) (Receipt, error) {
//		return s.Send(ctx, message)
//	})
//
// A policy picks the provider to begin with: [WithRoundRobin], which holds unless
// another is set, [WithStickyTimeouts], [WithOrder], [WithWeights] or
// [WithTwoChoices]. A judge of each provider, made of package detect's detectors,
// takes it out when it falls ill, probes it later and gives its share back step by
// step; see [WithJudge]. Of providers in the same [Candidate.Domain] one is not
// tried after another as long as there are others.
//
// Whether a failed call may be tried elsewhere depends on what became of it, the
// [Outcome], which the classifier finds in its error:
//
//	            Do             DoIdempotent, Hedge
//	Accepted    done           done
//	Rejected    next provider  next provider
//	Unknown     stop           next provider
//	Final       stop           stop
//
// Use [Do] for what must not happen twice, such as a text message: an error that
// leaves open whether it was sent ends the call. Use [DoIdempotent] where a second
// time does no harm, and [Hedge] where it is worth a second call now and then not to
// wait for a slow provider. All of them stop as soon as the caller's context ends,
// and none tries elsewhere more often than the retry budget allows: see
// [Config.RetryRatio].
//
// When every provider is judged ill, the one that failed least in a row gets one
// call every [Config.LastResortEvery]; others fail at once with [ErrUnavailable].
//
// Errors: a call that failed returns a [*CallError], which names what each provider
// said and through which errors.Is and errors.As find all of that; it wraps
// [ErrUnavailable] when no provider was called, and [ErrBudget] when only the retry
// budget stood against another attempt. Constructors return errors that name each bad
// setting.
//
// In which order to wrap: [Observe] outside; a retry around a group repeats what the
// group has tried already, so leave it out; limits and breakers of one provider
// inside, as their refusal is [Rejected] and does not count against it.
//
// Nothing here starts a goroutine except [Hedge], and the timers of a judge that has
// taken a provider out.
package failover
