package saramax_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/bulwark-go/bulwark/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, testenv.LeakOptions()...) }
