package redislimit

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A time with a monotonic reading cannot be made up, but the wall clock's can be
// moved against it: Go's own clock stands for both, and the base is moved.
func TestALeasesClockGoesOnWhileTheMachineSleeps(t *testing.T) {
	a := newAwake(time.Now)
	require.Less(t, a.read(), time.Hour)
	a.ahead -= 8 * time.Hour // as if the wall clock had gone on alone for a night
	night := a.read()
	require.GreaterOrEqual(t, night, 8*time.Hour)
	require.Less(t, night, 9*time.Hour)
	require.GreaterOrEqual(t, a.read(), night, "and goes on from there")
	a.ahead += time.Hour // set back
	back := a.read()
	require.GreaterOrEqual(t, back, night, "it never goes back")
	require.Less(t, back, night+time.Minute)
	a.ahead -= time.Hour
	require.GreaterOrEqual(t, a.read(), night+time.Hour, "a sleep after the clock was set back counts")
}
