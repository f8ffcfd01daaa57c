package console_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkView is what one look costs, every two seconds for each open page. The
// rules are in memory: a store elsewhere adds two calls for each set.
func BenchmarkView(b *testing.B) {
	for name, path := range map[string]string{"first page": "/console/live", "rules": "/console/rules/api/live"} {
		b.Run(name, func(b *testing.B) {
			f := newFixture(b, token)
			_, err := f.follower.Latest(b.Context())
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				f.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
				if w.Code != http.StatusOK {
					b.Fatal(w.Code)
				}
			}
		})
	}
}
