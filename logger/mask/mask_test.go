package mask_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/logger/loggertest"
	"github.com/bulwark-go/bulwark/logger/mask"
	"github.com/bulwark-go/bulwark/logger/zaplog"
)

const number = "13800138000"

func TestConformance(t *testing.T) {
	loggertest.Test(t, func(tb testing.TB) loggertest.Backend {
		rec := loggertest.New(tb)
		return loggertest.Backend{
			Core:     mask.New(rec),
			Records:  func() ([]loggertest.Record, error) { return rec.Records(), nil },
			SetLevel: rec.SetLevel,
		}
	})
}

func line(t *testing.T, opts []mask.Option, fields ...logger.Arg) map[string]any {
	t.Helper()
	rec := loggertest.New(t)
	logger.New(mask.New(rec, opts...)).Info("m", fields...)
	return rec.Records()[0].Fields
}

type account struct {
	Name     string `json:"name"`
	Password string `json:"password"`
	Phone    int64  `json:"phone"`
	Note     string `json:"note"`
	Devices  []map[string]any
}

func TestValuesAreHiddenByKey(t *testing.T) {
	got := line(t, nil,
		logger.String("password", "hunter2"), logger.Int("otp", 123456), logger.Uint64("smsCode", 123456),
		logger.Float64("cvv", 123), logger.NamedErr("secret", errors.New("hunter2")),
		logger.Group("credentials", logger.String("user", "u")), logger.Any("token", []string{"t"}),
		logger.Int64("phone", 13800138000), logger.Uint64("mobile", 13800138000), logger.Int("tel", 12),
		logger.String("email", "alice"), logger.Bool("has_password", true), logger.Duration("token_ttl", time.Second),
		logger.String("Authorization", ""), logger.Any("cookie", nil))
	require.Equal(t, map[string]any{
		"password": mask.Text, "otp": mask.Text, "smsCode": mask.Text, "cvv": mask.Text, "secret": mask.Text,
		"credentials": mask.Text, "token": mask.Text, "phone": "138****8000", "mobile": "138****8000", "tel": int64(12),
		"email": "***", "has_password": true, "token_ttl": time.Second, "Authorization": "", "cookie": nil,
	}, got)
}

func TestNestedValuesAreHidden(t *testing.T) {
	a := account{
		Name: "a\"b", Password: "hunter2", Phone: 13800138000, Note: "call " + number,
		Devices: []map[string]any{{"token": map[string]any{"raw": "t"}, "to": number, "Cookie": []int{1}, "mail": `a"b@c`}, {number: 1}},
	}
	got := line(t, nil, logger.Any("a", &a), logger.Group("g", logger.Group("h", logger.String("to", number))))
	require.Equal(t, map[string]any{
		"a": map[string]any{
			"name": "a\"b", "password": mask.Text, "phone": "138****8000", "note": "call 138****8000",
			"Devices": []any{
				map[string]any{"token": mask.Text, "to": "138****8000", "Cookie": mask.Text, "mail": mask.Text},
				map[string]any{"138****8000": json.Number("1")},
			},
		},
		"g": map[string]any{"h": map[string]any{"to": "138****8000"}},
	}, got)
}

func TestFullNumberNeverReachesTheSink(t *testing.T) {
	var out strings.Builder
	zl := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(&out), zap.DebugLevel))
	log := logger.New(mask.New(zaplog.New(zl))).With(logger.String("phone", number)).Named("sms")
	log.Info("to "+number, logger.String("phone", number), logger.String("other", number), logger.Any("phone2", number))
	log.With(logger.Any("list", []string{number})).Error("failed", logger.Err(fmt.Errorf("send to %s", number)))
	require.NotContains(t, out.String(), number)
	require.NotContains(t, out.String(), "0138000")
	require.Contains(t, out.String(), "138****8000")
}

func TestShortValuesAreHiddenWithoutPanic(t *testing.T) {
	for _, v := range []string{"", "1", "12", "123", "世", "\xff", "138001", "@", "+", "世界你好"} {
		got := line(t, nil, logger.String("phone", v), logger.String("password", v), logger.String("email", v), logger.String("x", v))
		require.Len(t, got, 4)
		if v != "" {
			require.Equal(t, mask.Text, got["password"])
		}
	}
}

func TestCallersDataStaysAsItIs(t *testing.T) {
	m := map[string]string{"password": "hunter2", "to": number}
	s := []string{number}
	a := &account{Password: "hunter2", Note: number}
	err := fmt.Errorf("to %s", number)
	group := logger.Group("g", logger.String("to", number)).Field()
	given := []logger.Field{
		logger.String("to", number).Field(), logger.Any("m", m).Field(), logger.Strings("s", s).Field(), logger.Any("a", a).Field(),
		logger.Err(err).Field(), group,
	}
	before := fmt.Sprintf("%+v", given)

	rec := loggertest.New(t)
	core := mask.New(rec)
	var wg sync.WaitGroup
	for range 4 { // the race detector watches for writes into the shared fields
		wg.Go(func() {
			core.Write(logger.Entry{Message: number}, given)
			core.With(given).Write(logger.Entry{}, nil)
		})
	}
	wg.Wait()
	require.Equal(t, before, fmt.Sprintf("%+v", given))
	require.Equal(t, map[string]string{"password": "hunter2", "to": number}, m)
	require.Equal(t, []string{number}, s)
	require.Equal(t, number, a.Note)
	require.Equal(t, number, group.Fields()[0].Text)
	rec.RequireNowhere(number)
}

func TestOptions(t *testing.T) {
	require.Equal(t, map[string]any{"Api-Pin": mask.Text, "userApiPin": mask.Text, "pin": "1"},
		line(t, []mask.Option{mask.WithKeys("api_pin")},
			logger.String("Api-Pin", "1"), logger.String("userApiPin", "1"), logger.String("pin", "1")))
	require.Equal(t, map[string]any{"token_id": "t", "token": mask.Text},
		line(t, []mask.Option{mask.WithoutKeys("token_id")}, logger.String("token_id", "t"), logger.String("token", "t")))
	require.True(t, mask.Key("token_id"), "options of one Core must not reach another")

	us := []mask.Option{mask.WithRegions(mask.NorthAmerica, mask.France)}
	require.Equal(t, map[string]any{"a": "******2671", "b": "(***) ***-2671", "c": "******5678", "d": number},
		line(t, us, logger.String("a", "4155552671"), logger.String("b", "(415) 555-2671"), logger.String("c", "0612345678"), logger.String("d", number)))
}

func TestRegions(t *testing.T) {
	for region, n := range map[mask.Region]string{
		mask.China: number, mask.NorthAmerica: "4155552671", mask.Britain: "07912345678", mask.France: "0712345678",
		mask.Germany: "01511234567", mask.Japan: "09012345678", mask.Korea: "01012345678", mask.India: "9123456789",
		mask.HongKong: "91234567", mask.Taiwan: "0912345678", mask.Singapore: "81234567", mask.Australia: "0412345678",
	} {
		got := line(t, []mask.Option{mask.WithRegions(region)}, logger.String("x", n))["x"]
		require.Contains(t, got, "****", n)
		require.Equal(t, n, line(t, []mask.Option{mask.WithRegions()}, logger.String("x", n))["x"])
	}
	require.Equal(t, number, line(t, []mask.Option{mask.WithRegions(200)}, logger.String("x", number))["x"])
}

func TestNilCoreDiscards(t *testing.T) {
	logger.New(mask.New(nil)).Error("m")
}

func FuzzCore(f *testing.F) {
	f.Add("password", `{"a":"b"}`)
	f.Add("phone", `"\u0031`)
	f.Add("mail", `a\"b@c.de`)
	f.Fuzz(func(t *testing.T, key, value string) {
		for _, v := range []any{value, map[string]string{key: value}, []any{key, map[string]any{"x": value, key: 1}}, errors.New(value)} {
			core := mask.New(checked{t})
			core.Write(logger.Entry{Message: value}, []logger.Field{logger.Any(key, v).Field(), logger.Group(key, logger.Any(key, v)).Field()})
		}
	})
}

// checked fails on a field whose JSON is none.
type checked struct{ t *testing.T }

func (c checked) Enabled(logger.Level) bool       { return true }
func (c checked) With([]logger.Field) logger.Core { return c }

func (c checked) Write(_ logger.Entry, fields []logger.Field) {
	for _, f := range fields {
		if f.Kind == logger.KindJSON && !json.Valid([]byte(f.Text)) {
			c.t.Fatalf("not JSON: %s", f.Text)
		}
		if f.Kind == logger.KindGroup {
			c.Write(logger.Entry{}, f.Fields())
		}
	}
}

func ExampleNew() {
	cfg := zap.NewProductionEncoderConfig()
	cfg.TimeKey = "" // for the example's output
	zl := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(cfg), os.Stdout, zap.InfoLevel))

	log := logger.New(mask.New(zaplog.New(zl)))
	log.Warn("sms limited", logger.String("phone", "13800138000"), logger.String("token", "abc"))
	log.Warn("no answer from alice@example.com", logger.Err(errors.New("POST /sms?to=%2B8613800138000: 503")))
	// Output:
	// {"level":"warn","msg":"sms limited","phone":"138****8000","token":"[masked]"}
	// {"level":"warn","msg":"no answer from a***@example.com","error":"POST /sms?to=%2B86138****8000: 503"}
}

func ExampleString() {
	fmt.Println(mask.String(`{"to":"+86 138-0013-8000","password":"hunter2","order":"202611231511590042"}`))
	// Output:
	// {"to":"+86 138-****-8000","password":"[masked]","order":"202611231511590042"}
}
