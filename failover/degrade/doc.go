// Package degrade does less when a service cannot do everything, and says so.
//
//	levels, err := degrade.NewLevels(degrade.Config{Name: "api"}, degrade.WithSignal("queue", queue.Load))
//	go levels.Run(ctx)
//
//	ctx, err := levels.Enter(ctx)          // degrade.ErrShed: too unimportant for now
//	if degrade.FastPath(ctx) { ... }       // in a repository: the cache will have to do
//
//	page, err := fallback.Do(ctx, gate, slowPage)
//	if fresh, ok := page.Fresh(); ok { cache.Set(fresh) }
//
// [Levels] is how much is done without: level 0 is nothing. Signals of load move it up
// by one level at a time, at once but not again within a dwell; and down only after
// the load has been clearly lower for a dwell, so that it does not flap. An operator
// may [Levels.Override] it, for a time that ends by itself. A signal that is lost
// keeps the level for one dwell and then lets it fall to 0.
//
// Each level sheds one more class of [Criticality], which calls carry in their
// context; one that is not set is [Critical], and nobody downstream can raise it.
//
// A [Dimmer] finds what lies between two levels: it sheds just as many calls as the
// service cannot do, by class, and within a class by [WithSubject], so that nobody's
// journey ends half way. Its Shed is a signal for Levels.
//
//	if err := dimmer.Admit(ctx); err != nil { ... }   // degrade.ErrShed
//
// A [Fallback] answers when the real thing fails or its gate is closed. It has a
// deadline, a number of calls and a cost budget of its own, for a fallback that does
// as much work as what it stands in for only moves the outage. Its answers are marked:
// [Result.Fresh] is how caches and writers take a value, and it has none for them. A
// circuit breaker as the gate tries one request at a time once the other side may be
// well again, and gives it back its share of calls step by step; a bad result takes
// that away.
//
// A fallback is worth something only if it works: of the calls that succeed a small
// share is followed by a run of it that nobody waits for the answer of. A [Registry]
// refuses fallbacks that lead back to what they stand in for, and reports those that
// have not answered for a day.
//
// [Switches] turn parts of what services do off for all instances that share a [Store],
// the least important first.
//
// Errors: [ErrShed] for calls that are shed, [ErrSpent] when a fallback had to be
// refused; constructors return errors that name each bad setting.
//
// Nothing here starts a goroutine; the Run methods work until their context ends.
package degrade
