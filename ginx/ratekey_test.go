package ginx_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/bulwark-go/bulwark/ginx"
	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// keyOf returns the key of a request from remote, after prepare.
func keyOf(t require.TestingT, key ginx.KeyFunc, remote string, prepare func(*gin.Context)) string {
	r := gin.New()
	require.NoError(t, r.SetTrustedProxies(nil))
	var got string
	read := func(c *gin.Context) {
		if prepare != nil {
			prepare(c)
		}
		got = key(c)
	}
	r.GET("/articles/:id", read)
	r.NoRoute(read)
	req := httptest.NewRequest(http.MethodGet, "/articles/7", nil)
	req.RemoteAddr = remote
	req.Header.Set("X-Forwarded-For", "203.0.113.66")
	r.ServeHTTP(httptest.NewRecorder(), req)
	return got
}

func TestAddressesAreKeyedByWhatASubscriberHas(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:1234":             "ip:192.0.2.1",
		"[::ffff:192.0.2.1]:1234":    "ip:192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:80":  "ip:2001:db8:1:2::/64",
		"[2001:db8:1:2:ffff::9]:80":  "ip:2001:db8:1:2::/64",
		"[fe80::1%eth0]:80":          "", // gin knows no zones
		"@":                          "", // a Unix socket
		"[2001:db8:1:3::1]:80":       "ip:2001:db8:1:3::/64",
		"[2001:DB8:1:3:0:0:0:2]:443": "ip:2001:db8:1:3::/64",
	} {
		require.Equal(t, want, keyOf(t, ginx.ByIP(), remote, nil), remote)
	}
	for _, c := range []struct {
		ipv4, ipv6 int
		remote     string
		want       string
	}{
		{24, 48, "192.0.2.77:1", "ip:192.0.2.0/24"},
		{24, 48, "[2001:db8:1:2::1]:1", "ip:2001:db8:1::/48"},
		{99, 999, "[2001:db8::1]:1", "ip:2001:db8::1"},
		{99, 999, "192.0.2.77:1", "ip:192.0.2.77"},
		{-1, -1, "192.0.2.77:1", "ip:0.0.0.0/0"},
	} {
		require.Equal(t, c.want, keyOf(t, ginx.ByNetwork(c.ipv4, c.ipv6), c.remote, nil))
	}
}

func TestKeysTellTheirKind(t *testing.T) {
	login := func(c *gin.Context) { ginx.SetUser(c, "192.0.2.1") }
	require.Equal(t, "user:192.0.2.1", keyOf(t, ginx.ByUser(), "192.0.2.1:1", login))
	require.Equal(t, "route:GET /articles/:id", keyOf(t, ginx.ByRoute(), "192.0.2.1:1", nil))
	require.Empty(t, keyOf(t, ginx.ByUser(), "192.0.2.1:1", nil), "a guest")
	tenant := ginx.By("tenant", func(c *gin.Context) string { return c.Param("id") })
	require.Equal(t, "tenant:7", keyOf(t, tenant, "192.0.2.1:1", nil))

	first := ginx.FirstOf(ginx.ByUser(), ginx.ByIP())
	require.Equal(t, "user:192.0.2.1", keyOf(t, first, "192.0.2.1:1", login))
	require.Equal(t, "ip:192.0.2.1", keyOf(t, first, "192.0.2.1:1", nil))
	require.Empty(t, keyOf(t, first, "@", nil))
	require.Empty(t, keyOf(t, ginx.Join(ginx.ByIP(), ginx.ByUser()), "192.0.2.1:1", nil), "a part is missing")
}

func TestRoutesThatMatchNoneShareAKey(t *testing.T) {
	keys := map[string]bool{}
	r := gin.New()
	r.NoRoute(func(c *gin.Context) { keys[ginx.ByRoute()(c)] = true })
	for _, method := range []string{"GET", "POST", "BREW"} {
		for _, path := range []string{"/a", "/b/c"} {
			do(r, httptest.NewRequest(method, path, nil))
		}
	}
	require.Len(t, keys, 1)
}

func TestJoinedKeysCanNotPassForOthers(t *testing.T) {
	constant := func(s string) ginx.KeyFunc { return func(*gin.Context) string { return s } }
	text := rapid.StringMatching(`[0-9a:|,]{1,6}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := []string{text.Draw(t, "a0"), text.Draw(t, "a1")}, []string{text.Draw(t, "b0"), text.Draw(t, "b1")}
		one := ginx.Join(constant(a[0]), constant(a[1]))(nil)
		other := ginx.Join(constant(b[0]), constant(b[1]))(nil)
		require.Equal(t, a[0] == b[0] && a[1] == b[1], one == other, "%q %q", one, other)
	})
	for _, separator := range []string{"", ":", "|", ",", "0:", "1:", "4:"} {
		one := ginx.Join(constant("a"+separator+"b"), constant("c"))(nil)
		other := ginx.Join(constant("a"), constant("b"+separator+"c"))(nil)
		require.NotEqual(t, one, other, "as if %q stood between them", separator)
	}
}
