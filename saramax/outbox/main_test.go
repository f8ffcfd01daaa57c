package outbox_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/bulwark-go/bulwark/internal/testenv"
)

func TestMain(m *testing.M) {
	if os.Getenv(envVictim) != "" {
		victim()
		return
	}
	goleak.VerifyTestMain(m, append(testenv.LeakOptions(),
		// GORM never stops the janitor of its prepared statements.
		goleak.IgnoreTopFunction("gorm.io/gorm/internal/lru.NewLRU[...].func1"))...)
}
