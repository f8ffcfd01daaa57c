// Package chain stacks what a sender of messages needs on its providers. [New]
// builds the whole stack in the recommended order and owns what it builds:
//
//	svc, err := chain.New(chain.Config{Name: "sms"}, []chain.Provider{
//		{Name: "aliyun", Value: ali}, {Name: "tencent", Value: tencent},
//	}, chain.WithLimit(limiter), chain.WithRescue(store), chain.WithObserver(observer))
//	go svc.Run(ctx) // delivers what was stored
//	receipt, err := svc.Send(ctx, message)
//
// From the outside in:
//
//	observe, log        once for each message, whatever happens to it further in
//	authorise           may the caller use the template
//	deduplicate         the same message twice is one
//	quota               charged once, whatever is tried further in
//	rescue              stored for later, when it can't be sent now
//	retry               again, within a budget
//	failover            the next provider
//	  breaker           of one provider: its refusals cost no permit
//	  limit             of one provider
//	  observe           each attempt
//	  provider
//
// The places of authorise, deduplicate and quota are for layers of the caller's: see
// [WithLayer]. The decorators can be had one by one, and [Stack] puts them together
// by hand; both refuse an order that loses or doubles something with [ErrOrder], such
// as a quota outside of deduplication, or a retry outside of the rescue, which would
// store a message twice.
//
// # What is promised
//
// Every decorator is an [smsx.Service] and holds its contract: one result for each
// number in the order of the message, and a nil error exactly when all were accepted.
// A message to several numbers that was partly sent goes on with the rest alone. A
// message of class [smsx.AtMostOnce] is never sent again to a number whose outcome is
// unknown: neither by failover, nor by a retry, nor by a worker.
//
// Errors: [ErrOrder] and [ErrConfig] from constructors, each violation named; those
// of package smsx from Send.
package chain
