package degrade

import "context"

// Criticality is how much somebody minds when a call is not made. The zero
// Criticality is Critical, as most calls say nothing.
type Criticality int8

// The classes, from the first to be shed to the last.
const (
	// Sheddable: a batch job, a prefetch; nobody waits for it.
	Sheddable Criticality = iota - 2
	// Tolerant: somebody waits, and can do without.
	Tolerant
	// Critical: somebody waits, and cannot do without.
	Critical
	// Vital: without it there is no business: paying, logging in.
	Vital

	classes = int(Vital-Sheddable) + 1
)

// String returns the class's name; "invalid" for a value out of range.
func (c Criticality) String() string {
	names := [...]string{"sheddable", "tolerant", "critical", "vital"}
	if c < Sheddable || c > Vital {
		return "invalid"
	}
	return names[c-Sheddable]
}

type criticalityKey struct{}

// WithCriticality returns a context whose calls are of class c, or of the class that
// ctx says already if that is lower: what a call does on the way cannot be more
// important than the call. Classes out of range are brought into it.
func WithCriticality(ctx context.Context, c Criticality) context.Context {
	c = min(max(c, Sheddable), Vital)
	if set, ok := ctx.Value(criticalityKey{}).(Criticality); ok && set <= c {
		return ctx
	}
	return context.WithValue(ctx, criticalityKey{}, c)
}

// CriticalityOf returns the class of calls under ctx; [Critical] if it says nothing.
func CriticalityOf(ctx context.Context) Criticality {
	c, _ := ctx.Value(criticalityKey{}).(Criticality)
	return c
}

type subjectKey struct{}

// WithSubject returns a context whose calls are on behalf of a user, or a session: a
// [Dimmer] treats all calls of one alike, so that it does not end half of what somebody
// is about.
func WithSubject(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, subjectKey{}, id)
}

type levelKey struct{}

// WithLevel returns a context that says that the call is made at a level of
// degradation; [Levels.Enter] does it for you.
func WithLevel(ctx context.Context, level int) context.Context {
	return context.WithValue(ctx, levelKey{}, level)
}

// LevelOf returns the level that ctx says; 0 if it says nothing.
func LevelOf(ctx context.Context) int {
	level, _ := ctx.Value(levelKey{}).(int)
	return level
}

// FastPath tells whether slow ways of answering are to be left out, such as reading a
// database when a cache has nothing: at any level but 0.
func FastPath(ctx context.Context) bool { return LevelOf(ctx) > 0 }
