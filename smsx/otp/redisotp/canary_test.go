package redisotp_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/logger/sloglog"
	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/observe/otel"
	"github.com/bulwark-go/bulwark/observe/prom"
	"github.com/bulwark-go/bulwark/observe/redishook"
	"github.com/bulwark-go/bulwark/smsx"
	"github.com/bulwark-go/bulwark/smsx/memory"
	"github.com/bulwark-go/bulwark/smsx/otp"
)

// TestNoSinkHoldsACodeOrAPhone runs codes through all that a service has, with a log
// that masks nothing, writes whatever there is to write, and searches every sink.
func TestNoSinkHoldsACodeOrAPhone(t *testing.T) {
	ctx := t.Context()
	var lines bytes.Buffer
	log := logger.New(sloglog.New(slog.NewJSONHandler(&lines, &slog.HandlerOptions{Level: slog.LevelDebug})))
	reg := prometheus.NewRegistry()
	metrics, err := prom.New(reg, prom.Config{Namespace: "app"})
	require.NoError(t, err)
	spans := tracetest.NewSpanRecorder()
	traces, err := otel.New(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)))
	require.NoError(t, err)
	observer := observe.Multi(metrics, traces)

	rdb, watch := testenv.Redis(t), &spy{}
	rdb.AddHook(watch)
	rdb.AddHook(redishook.New(observer, redishook.WithLogger(log)))
	vendor := memory.New("vendor")
	sms, err := otp.NewSMS(vendor, "SMS_1", otp.SMSConfig{})
	require.NoError(t, err)
	store := otp.Observe(newStore(t, rdb), observer)
	// Ten digits do not turn up by chance in a time or a number of bytes.
	codes, err := otp.New(store, sms, testKeys(), otp.Config{Digits: 10})
	require.NoError(t, err)

	var redis strings.Builder
	write := func(what string, values ...any) {
		for _, v := range values {
			encoded, err := json.Marshal(v)
			require.NoError(t, err)
			log.Info(what, logger.Any("value", v), logger.String("json", string(encoded)),
				logger.String("text", fmt.Sprintf("%v %+v %#v %s", v, v, v, v)))
		}
	}
	const guess = "8642097531"
	const subjects = 12
	for i := range subjects {
		subject := fmt.Sprintf("+861380013%04d", i)
		if i%3 == 2 {
			vendor.Answer(func(m smsx.Message) (smsx.Receipt, error) {
				r := smsx.Same(m, smsx.Result{Outcome: smsx.Outcome(i % 2 * 2), Provider: "vendor", Code: "E1"})
				return r, r.Err(errors.New("the vendor's own words"))
			})
		} else {
			vendor.Answer(nil)
		}
		issued := codes.Issue(ctx, "login", subject)
		write("issue", fmt.Sprint(issued), fmt.Sprint(codes.Issue(ctx, "login", subject)))
		ok, err := codes.Verify(ctx, "login", subject, guess)
		write("guess", ok, fmt.Sprint(err))
		for _, key := range rdb.Keys(ctx, "*").Val() {
			fmt.Fprintln(&redis, key, rdb.HGetAll(ctx, key).Val())
		}
		sent := vendor.Sent()
		m := sent[len(sent)-1]
		write("message", m, m.Args, m.Numbers)
		ok, err = codes.Verify(ctx, "login", subject, m.Args[0].Value)
		write("verify", ok, fmt.Sprint(err))
	}
	recorder := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(recorder, httptest.NewRequest("GET", "/metrics", nil))
	var traced strings.Builder
	for _, span := range spans.Ended() {
		fmt.Fprintln(&traced, span.Name(), span.Attributes(), span.Status(), span.Events())
	}
	sinks := map[string]string{
		"log": lines.String(), "metrics": recorder.Body.String(), "traces": traced.String(),
		"redis": redis.String(), "commands": strings.Join(watch.commands, "\n"),
	}
	for sink, proof := range map[string]string{
		"log": "vendor's own words", "metrics": "app_otp_verify", "traces": "verified", "redis": "otp:{#:", "commands": "evalsha",
	} {
		require.Contains(t, sinks[sink], proof, "the test does not see %s", sink)
	}
	canaries := []string{"1380013", guess}
	for _, m := range vendor.Sent() {
		canaries = append(canaries, m.Args[0].Value, m.Numbers[0].E164()[1:])
	}
	require.GreaterOrEqual(t, len(canaries), 2*subjects)
	for sink, all := range sinks {
		for _, canary := range canaries {
			require.False(t, strings.Contains(all, canary), "%s holds %q", sink, canary)
		}
	}
}
