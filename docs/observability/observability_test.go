// Package observability_test keeps the alert rules and the dashboard true.
package observability_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAlertsFireAndKeepQuietAsTheirTestsSay(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed: the alert rules did not run (scripts/install.sh promtool)")
	}
	for _, rules := range []string{"alerts_test.yaml", "kafka-alerts_test.yaml"} {
		out, err := exec.Command(promtool, "test", "rules", rules).CombinedOutput()
		require.NoError(t, err, string(out))
	}
}

func TestDashboardPanelsHaveQueriesAndDescriptions(t *testing.T) {
	for _, file := range []string{"dashboard.json", "kafka-dashboard.json"} {
		t.Run(file, func(t *testing.T) { checkDashboard(t, file) })
	}
}

func checkDashboard(t *testing.T, file string) {
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	var dashboard struct {
		Panels []struct {
			ID                       int
			Type, Title, Description string
			Targets                  []struct{ Expr string }
		}
	}
	require.NoError(t, json.Unmarshal(data, &dashboard))
	require.NotEmpty(t, dashboard.Panels)
	seen := map[int]bool{}
	for _, p := range dashboard.Panels {
		require.Falsef(t, seen[p.ID], "two panels have the id %d", p.ID)
		seen[p.ID] = true
		if p.Type == "row" {
			continue
		}
		require.NotEmpty(t, p.Description, p.Title)
		require.NotEmpty(t, p.Targets, p.Title)
	}
}
