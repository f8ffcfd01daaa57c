package async_test

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/failover/async"
)

// The note explains every parameter there is, and none that there is not.
func TestEveryParameterIsExplained(t *testing.T) {
	text, err := os.ReadFile("../../docs/sync-to-async.md")
	require.NoError(t, err)
	for _, config := range []any{async.Config{}, async.JudgeConfig{}} {
		kind := reflect.TypeOf(config)
		_, table, found := strings.Cut(string(text), "`async."+kind.Name()+"`:")
		require.True(t, found)
		var explained, fields []string
		for line := range strings.Lines(table) {
			if name, rest, ok := strings.Cut(strings.TrimPrefix(line, "| `"), "` |"); ok && strings.HasPrefix(line, "| `") {
				require.Equal(t, 3, strings.Count(rest, "|")+1, "%s: a default and a reason", name)
				explained = append(explained, name)
			} else if strings.HasPrefix(line, "`async.") {
				break
			}
		}
		for i := range kind.NumField() {
			fields = append(fields, kind.Field(i).Name)
		}
		require.Equal(t, fields, explained)
	}
}
