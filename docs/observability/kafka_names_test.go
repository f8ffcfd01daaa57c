package observability_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	metricName = regexp.MustCompile(`webook_(saramax|outbox)_([a-z_]+)`)
	derived    = regexp.MustCompile(`_(duration_seconds_bucket|duration_seconds_count|in_flight)$`)
	sources    = map[string]string{"saramax": "../../saramax", "outbox": "../../saramax/outbox"}
)

// A renamed metric leaves a rule that never fires and a panel that stays empty, and
// neither says so.
func TestKafkaRulesAndPanelsNameMetricsThatAreReported(t *testing.T) {
	reported := map[string]string{}
	for component, dir := range sources {
		reported[component] = sourceOf(t, dir)
	}
	for _, file := range []string{"kafka-alerts.yaml", "kafka-alerts_test.yaml", "kafka-dashboard.json"} {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		found := metricName.FindAllStringSubmatch(string(data), -1)
		require.NotEmpty(t, found, file)
		for _, match := range found {
			component, name := match[1], match[2]
			if reported[component] == "" {
				continue // the package is not there: nothing can report it, or contradict
			}
			require.Contains(t, reported[component], `"`+derived.ReplaceAllString(name, "")+`"`, "%s: %s", file, match[0])
		}
	}
}

func TestEachKafkaRuleHasAFiringAndAQuietCase(t *testing.T) {
	rules, err := os.ReadFile("kafka-alerts.yaml")
	require.NoError(t, err)
	cases, err := os.ReadFile("kafka-alerts_test.yaml")
	require.NoError(t, err)
	for _, match := range regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(string(rules), -1) {
		require.Contains(t, string(cases), `ALERTS{alertname="`+match[1]+`", alertstate="firing"}`)
		require.Contains(t, string(cases), "alertname: "+match[1]+", exp_alerts: []")
	}
}

// sourceOf returns all code below dir, without tests; "" when there is none.
func sourceOf(t *testing.T, dir string) string {
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		data, err := os.ReadFile(path)
		all.Write(data)
		return err
	})
	require.NoError(t, err)
	return all.String()
}
