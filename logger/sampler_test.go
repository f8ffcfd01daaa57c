package logger_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/logger/loggertest"
)

func newSampler(t testing.TB, next logger.Core, cfg logger.SamplerConfig, opts ...logger.SamplerOption) *logger.Sampler {
	s, err := logger.NewSampler(next, cfg, opts...)
	require.NoError(t, err)
	return s
}

// account adds up what was written and what was reported as dropped, by level.
func account(records []loggertest.Record) (emitted, dropped int, byLevel map[logger.Level]int) {
	byLevel = map[logger.Level]int{}
	for _, r := range records {
		if r.Message == logger.SummaryMessage {
			switch n := r.Fields["dropped"].(type) {
			case int64:
				dropped += int(n)
			case uint64:
				dropped += int(n)
			}
			continue
		}
		emitted++
		byLevel[r.Level]++
	}
	return emitted, dropped, byLevel
}

func TestSamplerLetsTheFirstAndThenEveryMthPass(t *testing.T) {
	rec := loggertest.New(t)
	s := newSampler(t, rec, logger.SamplerConfig{First: 2, Every: 3})
	for i := range 10 {
		s.Write(logger.Entry{Time: time.Unix(100, 0), Message: "m"}, []logger.Field{logger.Int("i", i).Field()})
	}
	var passed []any
	for _, r := range rec.Records() {
		passed = append(passed, r.Fields["i"])
	}
	require.Equal(t, []any{int64(0), int64(1), int64(4), int64(7)}, passed)

	s.Write(logger.Entry{Time: time.Unix(101, 0), Message: "m"}, nil)
	summary := rec.Records()[4]
	require.Equal(t, logger.SummaryMessage, summary.Message)
	require.Equal(t, logger.LevelWarn, summary.Level)
	require.Equal(t, int64(6), summary.Fields["dropped"])
	require.Contains(t, fmt.Sprint(summary.Fields["top"]), "key:m")
	require.Len(t, rec.Records(), 6)
}

func TestSamplerNeverDropsErrors(t *testing.T) {
	rec := loggertest.New(t)
	log := logger.New(newSampler(t, rec, logger.SamplerConfig{First: 1, Every: 1e6}))
	for range 1000 {
		log.Error("same")
		log.Log(logger.LevelError+1, "same")
		log.Warn("same")
	}
	_, _, byLevel := account(rec.Records())
	require.Equal(t, 1000, byLevel[logger.LevelError])
	require.Equal(t, 1000, byLevel[logger.LevelError+1])
	require.Less(t, byLevel[logger.LevelWarn], 1000)
}

func TestSamplerKeepsDifferentLinesApart(t *testing.T) {
	rec := loggertest.New(t)
	log := logger.New(newSampler(t, rec, logger.SamplerConfig{First: 1, Every: 1e6}))
	// More messages than zap's 4,096 buckets: some of them would share one.
	for i := range 20_000 {
		log.Info(fmt.Sprint("message ", i))
	}
	require.Equal(t, 20_000, len(rec.Records()))
}

func TestLinesWithoutTimeAreSampledToo(t *testing.T) {
	rec := loggertest.New(t)
	log := logger.New(newSampler(t, rec, logger.SamplerConfig{Tick: time.Hour, First: 1, Every: 1e6}))
	for range 10 {
		log.LogEntry(logger.Entry{Message: "m"})
	}
	require.Len(t, rec.Records(), 1)
}

func TestSamplerTellsCallSitesApart(t *testing.T) {
	rec := loggertest.New(t)
	log := logger.New(newSampler(t, rec, logger.SamplerConfig{First: 1, Every: 1e6}), logger.WithCaller())
	for i := range 3 {
		log.Info("same text")
		log.Info("same text")
		log.Info(fmt.Sprint("one site, text ", i))
	}
	require.Len(t, rec.Records(), 3)
}

func TestSampleKeyCountsSubjectsApart(t *testing.T) {
	rec := loggertest.New(t)
	s := newSampler(t, rec, logger.SamplerConfig{First: 1, Every: 1e6},
		logger.WithSampleKey(func(_ logger.Entry, fields []logger.Field) string { return fields[0].Text }),
		logger.WithKeepFrom(logger.LevelWarn))
	log := logger.New(s)
	for range 2 {
		log.Info("served", logger.String("route", "/a"))
		log.Info("served", logger.String("route", "/b"))
		log.Warn("slow", logger.String("route", "/a"))
	}
	require.Len(t, rec.Records(), 4)
}

func TestSamplerAccountIsExact(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rec := loggertest.New(t)
		s := newSampler(t, rec, logger.SamplerConfig{
			Tick: time.Second, First: rapid.IntRange(1, 5).Draw(rt, "first"), Every: rapid.IntRange(1, 5).Draw(rt, "every"),
		})
		cores := []logger.Core{s, s.With([]logger.Field{logger.Int("k", 1).Field()})}
		at, offered := time.Unix(0, 0), 0
		for range rapid.IntRange(0, 300).Draw(rt, "lines") {
			at = at.Add(time.Duration(rapid.IntRange(-300, 600).Draw(rt, "step")) * time.Millisecond)
			level := rapid.SampledFrom([]logger.Level{logger.LevelDebug, logger.LevelInfo, logger.LevelWarn, logger.LevelError}).Draw(rt, "level")
			cores[offered%2].Write(logger.Entry{Time: at, Level: level, Message: rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "msg")}, nil)
			offered++
		}
		s.Flush()
		emitted, dropped, _ := account(rec.Records())
		if emitted+dropped != offered {
			rt.Fatalf("%d emitted + %d dropped != %d offered", emitted, dropped, offered)
		}
	})
}

func TestSamplerAccountIsExactUnderConcurrency(t *testing.T) {
	rec := loggertest.New(t)
	s := newSampler(t, rec, logger.SamplerConfig{Tick: time.Millisecond, First: 1, Every: 7})
	log := logger.New(s)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 2000 {
				log.Info(fmt.Sprint("m", rand.IntN(3)))
				if i%500 == 0 {
					s.Flush()
				}
			}
		})
	}
	wg.Wait()
	s.Flush()
	emitted, dropped, _ := account(rec.Records())
	require.Equal(t, 16_000, emitted+dropped)
}

func TestMessagesMadeOfDataDoNotGrowMemory(t *testing.T) {
	rec := loggertest.New(t)
	s := newSampler(t, rec, logger.SamplerConfig{Tick: time.Hour, First: 1, Every: 2})
	log := logger.New(s)
	for i := range 10_000 {
		log.Info(fmt.Sprint("m", i))
		log.Info(fmt.Sprint("m", i))
	}
	s.Flush()
	emitted, dropped, _ := account(rec.Records())
	require.Equal(t, 20_000, emitted+dropped)
	require.Greater(t, len(rec.Records())-emitted, 1, "a full table ends the tick")
}

func TestSamplerReportsWithoutAnotherLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := loggertest.New(t)
		s := newSampler(t, rec, logger.SamplerConfig{First: 1, Every: 1e6})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		for range 5 {
			logger.New(s).Info("m")
		}
		time.Sleep(1500 * time.Millisecond)
		_, dropped, _ := account(rec.Records())
		require.Equal(t, 4, dropped)
		for range 3 {
			logger.New(s).Info("m")
		}
		cancel()
		require.NoError(t, <-done)
		_, dropped, _ = account(rec.Records())
		require.Equal(t, 6, dropped)
	})
}

func TestSamplerSummaryNamesTheCallSite(t *testing.T) {
	rec := loggertest.New(t)
	s := newSampler(t, rec, logger.SamplerConfig{First: 1, Every: 1e6})
	log := logger.New(s, logger.WithCaller()).Named("smsx")
	for range 2 {
		log.Info("m")
	}
	s.Flush()
	require.Contains(t, fmt.Sprint(rec.Records()[1].Fields["top"]), "sampler_test.go:")
	require.Contains(t, fmt.Sprint(rec.Records()[1].Fields["top"]), "smsx")
}

func TestSamplerConfigIsChecked(t *testing.T) {
	_, err := logger.NewSampler(nil, logger.SamplerConfig{Tick: -1, First: -2, Every: -3})
	require.ErrorIs(t, err, logger.ErrConfig)
	for _, part := range []string{"Tick is -1", "First is -2", "Every is -3", "next is nil"} {
		require.ErrorContains(t, err, part)
	}
}

func ExampleNewSampler() {
	sampler, err := logger.NewSampler(printer{}, logger.SamplerConfig{First: 2, Every: 1000})
	if err != nil {
		panic(err)
	}
	log := logger.New(sampler)
	for range 500 {
		log.Info("flood")
	}
	sampler.Flush()
	// Output:
	// info flood []
	// info flood []
	// warn log lines dropped [by dropped top]
}
