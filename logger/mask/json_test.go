package mask_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/logger/mask"
)

func TestJSONIsHiddenByItsKeys(t *testing.T) {
	for doc, want := range map[string]string{
		`{"password":"hunter2","n":1}`:            `{"password":"[masked]","n":1}`,
		`{"p\u0061ssword":"hunter2"}`:             `{"p\u0061ssword":"[masked]"}`,
		`{"token" : {"a":"b"}, "x":[1]}`:          `{"token" : "[masked]", "x":[1]}`,
		`{"secrets":["a","b"],"title":"t"}`:       `{"secrets":"[masked]","title":"t"}`,
		`[{"note":"call 13800138000"}]`:           `[{"note":"call 138****8000"}]`,
		`{"user":{"password":"hunt`:               `{"user":{"password":"[masked]`,
		`{"bad\q":"x","password":"hunter2"}`:      `{"bad\q":"x","password":"[masked]"}`,
		`{"title":"nothing to hide","n":[1,2,3]}`: `{"title":"nothing to hide","n":[1,2,3]}`,
		``: ``,
	} {
		require.Equal(t, want, mask.JSON(doc), doc)
	}
}

func FuzzJSON(f *testing.F) {
	for _, seed := range []string{`{"password":"hunter2"}`, `{"p\u0061ss":[{"`, `"\`, `:`, `{"a":1}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		_ = mask.JSON(doc)
		require.NotContains(t, mask.JSON(`{"password":"zq7planted","rest":`+doc), "zq7planted")
	})
}
