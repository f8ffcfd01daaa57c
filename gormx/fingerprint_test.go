package gormx_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/bulwark-go/bulwark/gormx"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestFingerprint(t *testing.T) {
	for _, c := range []struct{ name, dialect, in, want string }{
		{"empty", "", "", ""},
		{"literals", "mysql", "SELECT * FROM t WHERE a = 'x' AND b = 1.5e-3 AND c = 0xFF AND d = .5", "SELECT * FROM t WHERE a = ? AND b = ? AND c = ? AND d = ?"},
		{"placeholders", "postgres", "a = $1 AND b = $12$ AND c = ?", "a = ? AND b = ? AND c = ?"},
		{"space", "", "  SELECT\n\t1  ,2 ", "SELECT ?"},
		{"list", "", "id IN (1,2, 3)", "id IN (?)"},
		{"rows", "", "VALUES (1,'a'),(2,'b'), (3,'c')", "VALUES (?)"},
		{"names with digits", "", "SELECT t1.col2 FROM t1", "SELECT t1.col2 FROM t1"},
		{"doubled quote", "mysql", "a = 'it''s' AND b", "a = ? AND b"},
		{"prefixed literals", "mysql", "a = _utf8mb4'x' OR b = X'4D' OR c = N'y'", "a = _utf8mb4? OR b = X? OR c = N?"},
		{"quoted names", "mysql", "SELECT `my col` FROM `t``x`", "SELECT `my col` FROM `t``x`"},
		{"double quotes are names in postgres", "postgres", `SELECT "a b" FROM "t""x" WHERE c = 'v'`, `SELECT "a b" FROM "t""x" WHERE c = ?`},
		{"double quotes are values elsewhere", "mysql", `SELECT * FROM t WHERE a = "secret"`, "SELECT * FROM t WHERE a = ?"},
		{"double quotes are values when unknown", "", `a = "secret"`, "a = ?"},
		{"brackets are names in sqlite", "sqlite", "SELECT [a b] FROM t", "SELECT [a b] FROM t"},
		{"brackets elsewhere", "postgres", "a = ARRAY[1,2]", "a = ARRAY[?]"},
		{"comments", "mysql", "SELECT /* secret */ 1 -- secret\n, a # secret\n FROM t --", "SELECT ?, a FROM t"},
		{"casts and operators", "postgres", "a::text || 'x' #> '{b}' -> 1", "a::text || ? #> ? -> ?"},
		{"dollar quotes", "postgres", "a = $$secret$$ AND b = $x$it's $$ secret$x$ AND c", "a = ? AND b = ? AND c"},
		{"dollar names", "mysql", "SELECT $a, b$c FROM t", "SELECT $a, b$c FROM t"},
		{"lone dollar", "postgres", "a $ b", "a $ b"},
		{"backslash pairs", "mysql", `a = 'x\\' AND b = 'y'`, "a = ? AND b = ?"},
		{"backslash is plain in sqlite", "sqlite", `a = 'C:\' AND b = 'y'`, "a = ? AND b = ?"},
		{"ambiguous backslash", "mysql", `a = 'it\'s secret' AND b = 'c'`, "a = ? ..."},
		{"ambiguous backslash of postgres", "postgres", `a = 'x\' AND b = 'secret'`, "a = ? ..."},
		{"unfinished literal", "", "a = 'secret", "a = ? ..."},
		{"unfinished name", "", "a = `secret", "a = ? ..."},
		{"unfinished dollar quote", "postgres", "a = $x$ secret", "a = ? ..."},
		{"unfinished comment", "", "a /* secret", "a ..."},
		{"nested comment", "", "a /* /* */ secret */ b", "a ..."},
		{"minus minus", "mysql", "a = 5--'x\nsecret'", "a = ? ..."},
		{"hash unknown", "", "a # 'secret", "a ..."},
		{"backtick in postgres", "postgres", "a ` 'secret' ` b", "a ..."},
		{"quote in a name", "mysql", "SELECT `it's` FROM t", "SELECT ? FROM t"},
		{"non-ASCII", "", "SELECT 名 FROM 用户 WHERE 名 = '秘密'", "SELECT 名 FROM 用户 WHERE 名 = ?"},
		{"negative", "", "a = -5", "a = -?"},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, gormx.Fingerprint(c.dialect, c.in))
		})
	}
}

func TestFingerprintIsBounded(t *testing.T) {
	for _, in := range []string{
		strings.Repeat("a + b ", 100_000),
		strings.Repeat("用", 100_000),
		strings.Repeat("\xff", 100_000),
		"SELECT '" + strings.Repeat("x", 1<<20) + "' FROM t",
	} {
		got := gormx.Fingerprint("mysql", in)
		require.LessOrEqual(t, len(got), gormx.MaxFingerprint)
		require.True(t, strings.HasSuffix(got, " ..."))
		require.True(t, utf8.ValidString(got))
	}
}

// Values planted where each dialect takes a literal never come through.
func TestFingerprintShowsNoPlantedValue(t *testing.T) {
	const planted = "S3CR3T"
	literals := map[string][]string{
		"mysql":    {`'%'`, `"%"`, `'a\'%'`, `"a\"%"`, `'a''%'`, `_utf8'%'`, `'a\\\'%'`, "'a\n%'", "/* % */", "-- %\n", "# %\n", "/*! '%' */ ?"},
		"postgres": {`'%'`, `E'a\'%'`, `'a\'||'%'`, `'a''%'`, `$$%$$`, `$q$'%$q$`, `U&'%'`, "/* % */", "--%\n", "/* /* */ % */"},
		"sqlite":   {`'%'`, `"%"`, `'a\'||'%'`, `'a''%'`, `x'%'`, "/* % */", "--%\n"},
	}
	for dialect, forms := range literals {
		rapid.Check(t, func(rt *rapid.T) {
			pieces := rapid.SliceOfN(rapid.SampledFrom(append(forms, "a =", " ( ", ",", ")", "b1", "?", "12", " AND ", "`c`", "\n")), 1, 20).Draw(rt, "pieces")
			sql := strings.ReplaceAll(strings.Join(pieces, " "), "%", planted)
			got := gormx.Fingerprint(dialect, sql)
			require.NotContains(rt, got, planted, "%s: %s", dialect, sql)
			require.NotContains(rt, got, "'")
		})
	}
}

func FuzzFingerprint(f *testing.F) {
	for _, seed := range []string{
		"SELECT * FROM t WHERE a IN (1, 'x', \"y\")", "a -- b\n/* c */ # d", "$1 $x$ y $x$", `'\''`, "`a``b`[c]", "1e+5.6", "VALUES (?),(?)",
		"(?, ?), (?", "x'a', x'b'", "\xff\x00", "?, ?, ?) ...", "a ... b",
	} {
		for _, dialect := range []string{"", "mysql", "postgres", "sqlite"} {
			f.Add(dialect, seed)
		}
	}
	f.Fuzz(func(t *testing.T, dialect, sql string) {
		got := gormx.Fingerprint(dialect, sql)
		require.LessOrEqual(t, len(got), gormx.MaxFingerprint)
		require.True(t, utf8.ValidString(got))
		require.NotContains(t, got, "'")
		require.False(t, strings.ContainsFunc(got, func(r rune) bool { return r < ' ' }), "no control character: %q", got)
		again := gormx.Fingerprint(dialect, got)
		require.False(t, strings.ContainsRune(again, '\''))
	})
}

func BenchmarkFingerprint(b *testing.B) {
	const sql = "SELECT `id`,`name` FROM `authors` WHERE name = ? AND age > 18 AND city IN ('a','b','c') ORDER BY `id` LIMIT 10"
	b.SetBytes(int64(len(sql)))
	b.ReportAllocs()
	for b.Loop() {
		gormx.Fingerprint("mysql", sql)
	}
}
