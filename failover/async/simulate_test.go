package async_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/simulate"
	"github.com/bulwark-go/bulwark/internal/testenv"
)

// The figures in docs/sync-to-async.md: ours first.
func TestJudgementFigures(t *testing.T) {
	healthy, runs := testenv.Scale(100_000, 2_000_000), testenv.Scale(20, 200)
	for i, j := range simulate.Judges() {
		text := fmt.Sprintf("%-32s", j.Name)
		for _, w := range []simulate.Weather{simulate.Calm, simulate.Windy} {
			alarms := simulate.FalseAlarms(j.Spec, w, healthy)
			text += fmt.Sprintf(" | %s: %.1f false alarms in a million calls", w.Name, float64(alarms)*1e6/float64(healthy))
			if i == 0 {
				require.LessOrEqual(t, float64(alarms), 2+10*float64(healthy)/1e6)
			}
		}
		t.Log(text)
		for _, w := range simulate.Incidents {
			found := simulate.Delays(j.Spec, w, runs)
			if len(found) == 0 {
				t.Logf("    %-28s never within 60 s", w.Name)
				continue
			}
			t.Logf("    %-28s %3.0f %% noticed, after %5.2f s (median), %5.2f s (95 %%)", w.Name,
				100*float64(len(found))/float64(runs), simulate.Quantile(found, 0.5).Seconds(), simulate.Quantile(found, 0.95).Seconds())
			if i == 0 {
				require.Len(t, found, runs, w.Name)
				require.Less(t, simulate.Quantile(found, 0.95), simulate.GiveUp+2*time.Second, w.Name)
			}
		}
	}
}
