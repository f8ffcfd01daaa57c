package app_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/examples/webook/config"
)

// A panel or an alert over a metric that nobody exposes is never wrong: it is empty
// for ever. So what the shipped files name must be there after a few requests.
func TestTheRunningAppExposesEveryMetricThatAlertsAndDashboardName(t *testing.T) {
	cfg := testConfig(t)
	cfg.Articles.Publish = config.PublishService // the way with an alert
	i := start(t, cfg)
	token := i.login(t, "ann@example.com").access()
	for range 2 { // a miss and a hit of the cache
		require.Zero(t, i.call(t, http.MethodGet, "/users/profile", token, "").Code)
	}
	status, metrics := get(t, i.MetricsURL()+"/metrics")
	require.Equal(t, http.StatusOK, status)
	var exposed []string
	for line := range strings.Lines(metrics) {
		if !strings.HasPrefix(line, "#") {
			exposed = append(exposed, line[:strings.IndexAny(line, "{ ")])
		}
	}
	named := regexp.MustCompile(`\b(webook|go|process)_[a-z0-9_]+`)
	for _, file := range []string{"alerts.yaml", "dashboard.json"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "observability", file))
		require.NoError(t, err)
		names := slices.Compact(slices.Sorted(slices.Values(named.FindAllString(string(text), -1))))
		require.GreaterOrEqual(t, len(names), 5, "%s: the names were not found", file)
		for _, name := range names {
			require.Contains(t, exposed, name, file)
		}
	}
}
