package loggertest_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/logger/loggertest"
)

func backend(tb testing.TB) loggertest.Backend {
	rec := loggertest.New(tb)
	return loggertest.Backend{
		Core:     rec,
		Records:  func() ([]loggertest.Record, error) { return rec.Records(), nil },
		SetLevel: rec.SetLevel,
	}
}

func TestConformance(t *testing.T) { loggertest.Test(t, backend) }

// fake is a testing.TB that notes a failure instead of failing.
type fake struct {
	testing.TB
	failure string
}

func (f *fake) Helper()                        {}
func (f *fake) Cleanup(func())                 {}
func (f *fake) Fatalf(format string, _ ...any) { f.failure = format }

func TestAssertions(t *testing.T) {
	tb := &fake{TB: t}
	rec := loggertest.New(tb)
	rec.Logger().Warn("sms limited", logger.String("phone", "138"), logger.Int("n", 1), logger.Any("v", []string{"deep"}))

	rec.RequireLine(logger.LevelWarn, "sms limited", logger.Int("n", 1))
	rec.RequireNone(logger.LevelError)
	rec.RequireNowhere("139")
	require.Empty(t, tb.failure)

	for name, assertion := range map[string]func(){
		"level":   func() { rec.RequireLine(logger.LevelInfo, "sms limited") },
		"message": func() { rec.RequireLine(logger.LevelWarn, "sms") },
		"value":   func() { rec.RequireLine(logger.LevelWarn, "sms limited", logger.Int("n", 2)) },
		"key":     func() { rec.RequireLine(logger.LevelWarn, "sms limited", logger.Int("m", 1)) },
		"none":    func() { rec.RequireNone(logger.LevelWarn) },
		"field":   func() { rec.RequireNowhere("138") },
		"nested":  func() { rec.RequireNowhere("deep") },
		"text":    func() { rec.RequireNowhere("limited") },
	} {
		tb.failure = ""
		assertion()
		require.NotEmpty(t, tb.failure, name)
	}
}

func TestReset(t *testing.T) {
	rec := loggertest.New(t)
	rec.Logger().Info("a")
	require.Equal(t, []string{"a"}, rec.Messages())
	rec.Reset()
	require.Empty(t, rec.Records())
}

func TestParseJSONRefusesWhatIsNoLine(t *testing.T) {
	keys := loggertest.Keys{Time: "time", Level: "level", Message: "msg", Caller: "caller"}
	for _, line := range []string{"x", "[1]", `{"level":"loud"}`, `{"level":"info","time":"now"}`} {
		_, err := loggertest.ParseJSON([]byte(line), keys)
		require.Error(t, err, line)
	}
}

func ExampleNew() {
	t := &testing.T{} // the test's own
	rec := loggertest.New(t)
	rec.Logger().Warn("sms limited", logger.String("phone", "138****8000"))

	rec.RequireLine(logger.LevelWarn, "sms limited")
	rec.RequireNowhere("13800138000")
	fmt.Println(rec.Messages())
	// Output: [sms limited]
}
