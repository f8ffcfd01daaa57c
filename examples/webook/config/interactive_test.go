package config_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/examples/webook/config"
)

func TestCountersAreConfiguredWithinBounds(t *testing.T) {
	_, err := config.Load(file(t, "interactive:\n  cachePassMax: -1\n  reads:\n    batch: 0\n    linger: 1h\n    remember: 1m\nkafka:\n  prefix: a b\n"))
	for _, key := range []string{"interactive.cachePassMax: -1", "interactive.reads.batch: 0", "interactive.reads.linger", "interactive.reads.remember", `kafka.prefix: "a b"`} {
		require.ErrorContains(t, err, key)
	}
	t.Setenv("WEBOOK_INTERACTIVE_READS_LINGER", "1s")
	cfg, err := config.Load(file(t, "interactive:\n  cachePassMax: 0\n"))
	require.NoError(t, err)
	require.Zero(t, cfg.Interactive.CachePassMax, "no read passes")
	require.Equal(t, time.Second, cfg.Interactive.Reads.Linger)
}

func TestTheShippedFileHasTheDefaultsOfCounters(t *testing.T) {
	t.Setenv("WEBOOK_DB_DSN", "u:p@tcp(127.0.0.1:13306)/webook")
	cfg, err := config.Load("../deploy/real.yaml")
	require.NoError(t, err)
	require.Equal(t, config.Default().Interactive, cfg.Interactive)
}
