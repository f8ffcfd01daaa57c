package async_test

import (
	"testing"

	"github.com/bulwark-go/bulwark/failover/async"
	"github.com/bulwark-go/bulwark/failover/async/asynctest"
)

func TestMemorySuite(t *testing.T) {
	asynctest.Test(t, func(*testing.T) async.Store { return async.NewMemory() })
}
