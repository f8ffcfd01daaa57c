package testenv

import (
	"testing"

	"github.com/bulwark-go/bulwark/internal/faultproxy"
)

// Proxy puts a proxy in front of a server, given as host:port, that can make the
// network between the test and the server fail.
func Proxy(t testing.TB, target string) *faultproxy.Proxy {
	t.Helper()
	proxy, err := faultproxy.Start(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := proxy.Close(); err != nil {
			t.Error(err)
		}
	})
	return proxy
}
