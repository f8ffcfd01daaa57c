package logger_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"text/template"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/logger/loggertest"
	"github.com/bulwark-go/bulwark/logger/zaplog"
)

const hunter = "hunter2-hunter2"

// login has the secret in each place a struct can have one.
type login struct {
	Name   string
	Open   logger.Secret
	closed logger.Secret
	Ptr    *logger.Secret
	List   []logger.Secret
	Map    map[string]logger.Secret
}

func newLogin() login {
	s := logger.NewSecret(hunter)
	return login{"n", s, s, &s, []logger.Secret{s}, map[string]logger.Secret{"k": s}}
}

type capture struct{ text string }

func (c *capture) Errorf(format string, args ...any) { c.text += fmt.Sprintf(format, args...) }

// routes are ways by which a value becomes text.
func routes(t *testing.T) map[string]func(v any) string {
	out := map[string]func(v any) string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%c", "%U", "%e", "%b", "%o", "%p", "%10.3s", "%T", "%z"} {
		out["fmt "+verb] = func(v any) string { return fmt.Sprintf(verb, v) }
	}
	out["Sprint"] = func(v any) string { return fmt.Sprint(v) }
	out["Sprintln"] = func(v any) string { return fmt.Sprintln(v) }
	out["Errorf"] = func(v any) string { return fmt.Errorf("at %v: %w", v, errors.New("x")).Error() }
	out["log"] = func(v any) string {
		var b bytes.Buffer
		log.New(&b, "", 0).Print(v)
		return b.String()
	}
	out["json"] = func(v any) string { b, _ := json.Marshal(v); return string(b) }
	out["json indent"] = func(v any) string { b, _ := json.MarshalIndent(v, "", " "); return string(b) }
	out["json in a map"] = func(v any) string { b, _ := json.Marshal(map[string]any{"k": v}); return string(b) }
	out["xml"] = func(v any) string { b, _ := xml.Marshal(v); return string(b) }
	out["gob"] = func(v any) string { var b bytes.Buffer; _ = gob.NewEncoder(&b).Encode(v); return b.String() }
	out["template"] = func(v any) string {
		var b bytes.Buffer
		_ = template.Must(template.New("").Parse(`{{.}} {{printf "%s" .}}`)).Execute(&b, v)
		return b.String()
	}
	out["testify"] = func(v any) string { // dumps by reflection, without methods
		var c capture
		assert.Equal(&c, v, "something else")
		return c.text
	}
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"slog text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"slog json": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		out[name] = func(v any) string { var b bytes.Buffer; slog.New(handler(&b)).Info("m", "k", v); return b.String() }
		out[name+" group"] = func(v any) string {
			var b bytes.Buffer
			slog.New(handler(&b)).With(slog.Group("g", "k", v)).Info("m")
			return b.String()
		}
	}
	for name, enc := range map[string]zapcore.Encoder{
		"zap json": zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), "zap console": zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig()),
	} {
		for route, field := range map[string]func(v any) zap.Field{
			"any": func(v any) zap.Field { return zap.Any("k", v) }, "reflect": func(v any) zap.Field { return zap.Reflect("k", v) },
		} {
			out[name+" "+route] = func(v any) string {
				var b bytes.Buffer
				zap.New(zapcore.NewCore(enc, zapcore.AddSync(&b), zap.DebugLevel)).Info("m", field(v))
				return b.String()
			}
		}
		out[name+" sugar"] = func(v any) string {
			var b bytes.Buffer
			zap.New(zapcore.NewCore(enc, zapcore.AddSync(&b), zap.DebugLevel)).Sugar().Infow(fmt.Sprint(v), "k", v)
			return b.String()
		}
	}
	out["zerolog any"] = func(v any) string {
		var b bytes.Buffer
		zl := zerolog.New(&b)
		zl.Info().Any("k", v).Send()
		return b.String()
	}
	out["zerolog fields"] = func(v any) string {
		var b bytes.Buffer
		zl := zerolog.New(&b)
		zl.Info().Fields(map[string]any{"k": v}).Msgf("%v", v)
		return b.String()
	}
	out["ours"] = func(v any) string {
		rec := loggertest.New(t)
		rec.Logger().With(logger.Any("w", v)).Info(fmt.Sprint(v), logger.Any("k", v), logger.Group("g", logger.Any("k", v)))
		return fmt.Sprintf("%+v", rec.Records())
	}
	out["ours over zap"] = func(v any) string {
		var b bytes.Buffer
		zl := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(&b), zap.DebugLevel))
		logger.New(zaplog.New(zl)).Info("m", logger.Any("k", v))
		return b.String()
	}
	out["recovered panic"] = func(v any) (text string) {
		defer func() { text = fmt.Sprintf("%v %+v", recover(), v) }()
		panic(v)
	}
	return out
}

func TestSecretNeverShows(t *testing.T) {
	s := logger.NewSecret(hunter)
	all := routes(t)
	require.GreaterOrEqual(t, len(all), 40)
	for name, route := range all {
		for form, v := range map[string]any{
			"value": s, "pointer": &s, "struct": newLogin(), "list": []any{s}, "map": map[string]any{"k": s}, "array": [1]logger.Secret{s},
		} {
			text := route(v)
			require.NotContains(t, text, "hunter", "%s of %s", name, form)
			require.NotContains(t, strings.ToLower(text), fmt.Sprintf("%x", "hunter"), "%s of %s", name, form)
			require.NotContains(t, text, "aHVudGVy", "%s of %s", name, form) // base64
		}
	}
}

// The runtime's own text of a panic that nobody recovers.
func TestSecretNeverShowsInACrash(t *testing.T) {
	if form := os.Getenv("BULWARK_TEST_CRASH"); form != "" {
		// Build the text at run time: the test binary's own path must not matter.
		s := logger.NewSecret(hunter)
		switch form {
		case "value":
			panic(s)
		case "pointer":
			panic(&s)
		case "struct":
			panic(newLogin())
		}
		panic(fmt.Errorf("with %v", s))
	}
	for _, form := range []string{"value", "pointer", "struct", "error"} {
		cmd := exec.Command(os.Args[0], "-test.run=TestSecretNeverShowsInACrash$")
		cmd.Env = append(os.Environ(), "BULWARK_TEST_CRASH="+form)
		out, err := cmd.CombinedOutput()
		require.Error(t, err)
		require.Contains(t, string(out), "panic:")
		require.NotContains(t, string(out), "hunter")
	}
}

func TestSecretIsUsable(t *testing.T) {
	var cfg struct{ Key logger.Secret }
	require.NoError(t, json.Unmarshal([]byte(`{"Key":"hunter2"}`), &cfg))
	require.Equal(t, "hunter2", cfg.Key.Reveal())
	require.True(t, cfg.Key.Equal(logger.NewSecret("hunter2")))
	require.False(t, cfg.Key.Equal(logger.NewSecret("hunter3")))
	var zero logger.Secret
	require.True(t, zero.Empty())
	require.False(t, cfg.Key.Empty())
	require.Equal(t, "[secret]", zero.String())
}
