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
	goleak.VerifyTestMain(m, testenv.LeakOptions()...)
}
