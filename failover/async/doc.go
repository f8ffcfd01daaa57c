// Package async turns a call that cannot be made now into one that is made later.
// When the call is limited, or whoever answers it is judged down, the request is
// stored durably and the caller hears "accepted"; workers on any number of
// instances deliver it, through the same limiter and the same judge.
//
//	judge, err := async.NewJudge(async.JudgeConfig{Name: "sms"})
//	rescued, err := async.New(store, send, async.Config{Name: "sms", NotAfter: 10 * time.Minute},
//		async.WithJudge(judge), async.WithLimiter(limiter))
//	outcome, err := rescued.Do(ctx, req)  // delivered now, or accepted for later
//	go rescued.Run(ctx)                   // a worker
//
// [Store] is where requests wait: async/gormstore keeps them in MySQL, MariaDB,
// PostgreSQL or SQLite; [NewMemory] keeps them in this process, for tests.
//
// # What is promised
//
// One call of [Rescued.Do] has one outcome: the request was delivered, or it is
// stored, or there is an error and it is neither; never two of them. Accepted
// means committed. An accepted request ends in exactly one of the states
// [Delivered], [Dead] and [Expired], or stays [Unknown] until someone decides.
//
// Before a stored request is handed to send it is marked [Submitted], so that a
// process that dies in between leaves a request of which it is unknown whether it
// arrived, never one that is quietly sent again. What becomes of it is a choice:
// the function of [WithReconciler] finds out; without one it is parked
// ([AtMostOnce], the default) or sent again ([AtLeastOnce]).
//
// A worker holds what it claimed under a lease with a token. A worker that lost
// its lease cannot write, whatever it has done meanwhile. All times are those of
// the store's clock; clocks of two machines are never compared.
//
// # Errors
//
//   - [ErrNotAccepted]: the request was to be stored and was not. The error is a
//     [*NotAcceptedError] and wraps why the call was not made and why it was not
//     stored: the store's error, [ErrFull], [ErrExpired] or [ErrEnded].
//   - [ErrUnknown]: the call was made, and nobody knows whether it was carried out.
//   - [ErrLost]: a lease is no longer held.
//   - [ErrConfig]: settings are wrong; each violation names field and value.
//
// Any other error of Do is the one of send: a definite refusal for good.
package async
