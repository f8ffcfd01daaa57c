package service

import (
	"html"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// Abstract is for tests of this package from outside.
func Abstract(content string) string { return abstract(content) }

func FuzzTextsAreSafeWhateverComes(f *testing.F) {
	for _, s := range []string{
		"", "熔断", "<p>熔断</p>", "<script>alert(1)</script>", "&lt;script&gt;", "a\x00b", "\xe7\x86", "&amp;lt;b&amp;gt;",
		"<", "&", "<!--", "<a href='javascript:x'>", strings.Repeat("断", 200), "<svg/onload=x>", "&#60;script&#62;",
	} {
		f.Add(s)
	}
	clean := newTexts(ArticlesConfig{TitleMax: 100, ContentMax: 1 << 20})
	f.Fuzz(func(t *testing.T, s string) {
		if title, err := clean.title(s); err == nil {
			require.True(t, utf8.ValidString(title))
			require.LessOrEqual(t, utf8.RuneCountInString(title), 100)
			again, err := clean.title(title)
			require.NoError(t, err)
			require.Equal(t, title, again, "what is clean stays as it is")
		}
		content, err := clean.content(s)
		if err != nil {
			return
		}
		require.True(t, utf8.ValidString(content))
		require.NotContains(t, strings.ToLower(content), "<script")
		short := abstract(content)
		require.True(t, utf8.ValidString(short))
		require.NotContains(t, short, "<")
		require.NotContains(t, short, ">")
		require.LessOrEqual(t, utf8.RuneCountInString(html.UnescapeString(short)), abstractMax)
	})
}
