package archtest_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/archtest"
)

const own = archtest.Module + "/"

func TestImportRule(t *testing.T) {
	for name, test := range map[string]struct {
		from, to string
		allowed  bool
	}{
		"standard library":               {"observe", "context", true},
		"layer below":                    {"ratelimit", own + "observe", true},
		"its own subpackage":             {"circuitbreaker", own + "circuitbreaker/detect", true},
		"detectors shared with failover": {"failover", own + "circuitbreaker/detect", true},
		"framework on core":              {"ginx", own + "logger", true},
		"internal building block":        {"ratelimit", own + "internal/keyed", true},
		"backend's technology":           {"ratelimit/redislimit", "github.com/redis/go-redis/v9", true},
		"suite's tools":                  {"observe/observetest", "github.com/stretchr/testify/require", true},
		"suite's testing":                {"observe/observetest", "testing", true},
		"where technologies meet":        {"saramax/outbox", "gorm.io/gorm", true},
		"third party in a core package":  {"ratelimit", "github.com/redis/go-redis/v9", false},
		"another's technology":           {"ratelimit/redislimit", "gorm.io/gorm", false},
		"technology not inherited":       {"ginx/session/redissession", "github.com/gin-gonic/gin", false},
		"test tool outside of a suite":   {"observe", "github.com/stretchr/testify/require", false},
		"same level":                     {"ratelimit", own + "lock", false},
		"observe and logger":             {"observe", own + "logger", false},
		"layer above":                    {"observe", own + "ratelimit", false},
		"framework on framework":         {"ginx", own + "gormx", false},
		"migrator on a limiter":          {"migrator", own + "ratelimit", false},
		"detectors on anything":          {"circuitbreaker/detect", own + "observe", false},
		"test environment":               {"lock", own + "internal/testenv", false},
		"app":                            {"ginx", own + "examples/webook/app", false},
		"benchmarks":                     {"ginx", own + "bench/ginx", false},
		"suite in production code":       {"ginx", own + "observe/observetest", false},
		"testing in production code":     {"observe", "testing", false},
		"status codes in core":           {"ratelimit", "net/http", false},
		"status codes at an edge":        {"ginx", "net/http", true},
		"package without a layer":        {"new", own + "observe", false},
	} {
		t.Run(name, func(t *testing.T) {
			found := check(t, archtest.Imports, map[string]string{
				test.from + "/a.go": "package a\n\nimport _ \"" + test.to + "\"\n",
			})
			require.Equal(t, test.allowed, len(found) == 0, found)
		})
	}
}

func TestImportRuleLeavesTestsAlone(t *testing.T) {
	require.Empty(t, check(t, archtest.Imports, map[string]string{
		"lock/lock.go":      "package lock\n",
		"lock/lock_test.go": "package lock_test\n\nimport _ \"gorm.io/gorm\"\n",
	}))
}

func TestPackageCommentRule(t *testing.T) {
	require.Equal(t, []string{
		"bare/a.go:1: package bare has no comment",
		`other/a.go:2: the package comment does not begin with "Package other "`,
		"twice/b.go:2: a second comment of package twice",
	}, check(t, archtest.PackageComments, map[string]string{
		"bare/a.go":  "package bare\n",
		"other/a.go": "// This is other.\npackage other\n",
		"twice/a.go": "// Package twice is.\npackage twice\n",
		"twice/b.go": "// Package twice is.\npackage twice\n",
		"good/a.go":  "// Package good is.\npackage good\n",
		"good/b.go":  "package good\n",
		"cmd/a.go":   "// Command cmd does.\npackage main\n",
	}))
}

func TestDocCommentRule(t *testing.T) {
	require.Equal(t, []string{
		"a/a.go:11: exported Bare has no comment",
		"a/a.go:12: exported Method has no comment",
		"a/a.go:15: exported A has no comment",
		"a/a.go:3: exported Func has no comment",
		"a/a.go:5: exported Type has no comment",
	}, check(t, archtest.DocComments, map[string]string{"a/a.go": `package a

func Func() {}

type Type[T any] struct{}

// Good is.
type Good struct{}

// Types.
type ( Bare int )
func (*Type[T]) Method() {}
type hidden int
func (hidden) Method() {}
const A, b = 1, 2

// The group.
const (
	C = 1
)

var D = 1 // D is.
`}))
}

func TestConstructorExampleRule(t *testing.T) {
	require.Equal(t, []string{
		"lock/lock.go:3: no Example with an Output calls New",
		"lock/lock.go:5: no Example with an Output calls NewSilent",
	}, check(t, archtest.ConstructorExamples, map[string]string{
		"lock/lock.go": `package lock

func New() {}
func NewShown() {}
func NewSilent() {}
func Newest() {}
`,
		"lock/example_test.go": `package lock_test

import "lock"

func ExampleNewShown() {
	lock.NewShown()
	// Output:
}

func ExampleNewSilent() {
	lock.NewSilent()
}
`,
		"internal/keyed/keyed.go": "package keyed\n\nfunc New() {}\n",
	}))
}

func TestConstructorResultRule(t *testing.T) {
	require.Equal(t, []string{
		"lock/lock.go:10: NewSecond does not return a Second",
		"lock/lock.go:11: NewThird does not return a Third",
	}, check(t, archtest.ConstructorResults, map[string]string{"lock/lock.go": `package lock

type First struct{}
type Second[T any] struct{}
type Third interface{}

func New() Third { return nil }
func NewFirst() (*First, error) { return nil, nil }
func NewSome() *First { return nil }
func NewSecond() *First { return nil }
func NewThird() other.Third { return nil }
func (First) NewThird() {}
`, "lock/more/more.go": `package more

type Second[T any] struct{}

func NewSecond[T any]() *Second[T] { return nil }
`}))
}

func TestLengthRule(t *testing.T) {
	require.Len(t, check(t, archtest.Lengths, map[string]string{
		"a/long.go":      "package a\n" + strings.Repeat("\n", 400),
		"a/fits.go":      "package a\n" + strings.Repeat("\n", 399),
		"a/long_test.go": "package a\n" + strings.Repeat("\n", 900),
	}), 1)
}

func TestPackageNameRule(t *testing.T) {
	require.Len(t, check(t, archtest.PackageNames, map[string]string{
		"lock/util/a.go": "package util\n", "lock/lease/a.go": "package lease\n",
	}), 1)
}

func TestSleepRule(t *testing.T) {
	const bubble = "package a\n\nimport (\n\t\"testing/synctest\"\n\t\"time\"\n)\n\n"
	require.Equal(t, []string{
		"a/after_test.go:6: a test sleeps: wait for what it waits for, or use synctest",
		"a/plain_test.go:5: a test sleeps: wait for what it waits for, or use synctest",
		"a/sync_test.go:8: a test sleeps: wait for what it waits for, or use synctest",
	}, check(t, archtest.Sleeps, map[string]string{
		"a/a.go":          "package a\n\nimport \"time\"\n\nfunc f() { time.Sleep(1) }\n",
		"a/plain_test.go": "package a\n\nimport \"time\"\n\nfunc f() { time.Sleep(1) }\n",
		"a/after_test.go": "package a\n\nimport \"time\"\n\nfunc f() {\n\t<-time.After(1)\n\tselect {\n\tcase <-time.After(1):\n\t}\n}\n",
		"a/sync_test.go": bubble + "func TestReal() { time.Sleep(1) }\n" +
			"func TestBubble() { synctest.Test(nil, func() { time.Sleep(1) }) }\nfunc inBubble() { time.Sleep(1) }\n",
	}))
}

func TestInitRule(t *testing.T) {
	require.Len(t, check(t, archtest.Inits, map[string]string{
		"lock/a.go": "package lock\n\nfunc init() {}\n\ntype t int\n\nfunc (t) init() {}\n",
	}), 1)
}

func TestStrangerRule(t *testing.T) {
	found := check(t, archtest.Strangers, map[string]string{
		"a/a.go":            "package a\n\n// TODO: more.\n",
		"README.md":         "See issue 12.\nTrap H3.\n/home/ann/src\nThe issues that remain.\n",
		"testdata/m.patch":  "TODO",
		"docs/picture.blob": "TODO",
	})
	require.Len(t, found, 4, found)
}
