package redisguard_test

import (
	"flag"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/bulwark-go/bulwark/internal/testenv"
)

// TestMain sizes the property tests for a Redis that takes a third of a
// millisecond for each script.
func TestMain(m *testing.M) {
	flag.Parse()
	checks := flag.Lookup("rapid.checks")
	if checks.Value.String() == checks.DefValue && os.Getenv(testenv.EnvLong) != "1" {
		_ = checks.Value.Set("15")
	}
	goleak.VerifyTestMain(m)
}
