package logger_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/logger/loggertest"
)

func newAsync(t testing.TB, next logger.Core, queue int) *logger.Async {
	a, err := logger.NewAsync(next, logger.AsyncConfig{Queue: queue})
	require.NoError(t, err)
	return a
}

// gate is a Core whose writes below error wait until it is opened.
type gate struct {
	logger.Core
	open    chan struct{}
	waiting chan struct{}
}

func newGate(next logger.Core) gate {
	return gate{Core: next, open: make(chan struct{}), waiting: make(chan struct{}, 100)}
}

func (g gate) With(fields []logger.Field) logger.Core {
	g.Core = g.Core.With(fields)
	return g
}

func (g gate) Write(e logger.Entry, fields []logger.Field) {
	if e.Level < logger.LevelError {
		g.waiting <- struct{}{}
		<-g.open
	}
	g.Core.Write(e, fields)
}

func TestSlowSinkDoesNotMakeCallersWait(t *testing.T) {
	rec := loggertest.New(t)
	slow := newGate(rec)
	a := newAsync(t, slow, 4)
	done := make(chan error)
	go func() { done <- a.Run(context.Background()) }()

	log := logger.New(a).With(logger.Int("k", 1))
	log.Info("line", logger.Int("i", 0))
	<-slow.waiting // the worker holds line 0, the queue is empty
	for i := 1; i <= 10; i++ {
		log.Info("line", logger.Int("i", i)) // returns, although nothing is written
	}
	log.Error("at once")
	require.Equal(t, []string{"at once"}, rec.Messages())
	require.Equal(t, logger.AsyncSnapshot{Queued: 5, Written: 1, Dropped: 6}, a.Snapshot())

	close(slow.open)
	require.NoError(t, a.Close(context.Background()))
	require.NoError(t, <-done)
	emitted, dropped, _ := account(rec.Records())
	require.Equal(t, 6, emitted)
	require.Equal(t, 6, dropped)
	next := int64(0)
	for _, r := range rec.Records() {
		if r.Message == "line" {
			require.Equal(t, map[string]any{"k": int64(1), "i": next}, r.Fields)
			next++
		}
	}
}

func TestQueuedValuesAreThoseOfTheCall(t *testing.T) {
	rec := loggertest.New(t)
	a := newAsync(t, rec, 0)
	m := map[string]int{"a": 1}
	args := []logger.Arg{logger.Any("m", m), logger.Group("g", logger.Any("m", m))}
	logger.New(a).Info("m", args...)
	m["a"] = 2
	args[0] = logger.Int("changed", 1)
	require.NoError(t, a.Flush(context.Background()))
	rec.RequireLine(logger.LevelInfo, "m", logger.Any("m", map[string]int{"a": 1}), logger.Group("g", logger.Any("m", map[string]int{"a": 1})))
}

func TestAsyncAccountIsExact(t *testing.T) {
	rec := loggertest.New(t)
	a := newAsync(t, rec, 8)
	var work, run sync.WaitGroup
	run.Go(func() { _ = a.Run(context.Background()) })
	log := logger.New(a)
	for range 8 {
		work.Go(func() {
			for i := range 2000 {
				log.Info("m")
				if i%100 == 0 {
					log.Error("m")
					_ = a.Flush(context.Background())
				}
			}
		})
	}
	work.Wait()
	require.NoError(t, a.Close(context.Background()))
	run.Wait()
	emitted, dropped, byLevel := account(rec.Records())
	require.Equal(t, 8*(2000+20), emitted+dropped)
	require.Equal(t, 160, byLevel[logger.LevelError])
	s := a.Snapshot()
	require.Equal(t, logger.AsyncSnapshot{Written: uint64(emitted), Dropped: uint64(dropped)}, s)
}

func TestLinesWhileClosingAreNotLost(t *testing.T) {
	for range 50 {
		rec := loggertest.New(t)
		a := newAsync(t, rec, 1000)
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(context.Background())
		wg.Go(func() { _ = a.Run(ctx) })
		for range 4 {
			wg.Go(func() {
				for range 50 {
					logger.New(a).Info("m")
				}
			})
		}
		wg.Go(func() { _ = a.Close(context.Background()) })
		wg.Go(cancel)
		wg.Wait()
		require.NoError(t, a.Close(context.Background()))
		require.Len(t, rec.Records(), 200)
	}
}

func TestCloseIsIdempotentAndBoundedByItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := loggertest.New(t)
		slow := newGate(rec)
		a := newAsync(t, slow, 4)
		go func() { _ = a.Run(context.Background()) }()
		logger.New(a).Info("m")
		<-slow.waiting
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		require.ErrorIs(t, a.Flush(ctx), context.DeadlineExceeded)
		require.ErrorIs(t, a.Close(ctx), context.DeadlineExceeded)
		close(slow.open)
		require.NoError(t, a.Close(context.Background()))
		require.NoError(t, a.Close(context.Background()))
		logger.New(a).Info("after")
		require.Equal(t, []string{"m", "after"}, rec.Messages())
	})
}

func TestRunEndsWithItsContextAndWritesTheRest(t *testing.T) {
	rec := loggertest.New(t)
	a := newAsync(t, rec, 100)
	for i := range 50 {
		logger.New(a).Info(fmt.Sprint(i))
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.NoError(t, a.Run(ctx))
	require.Len(t, rec.Records(), 50)
	logger.New(a).Info("after")
	require.Len(t, rec.Records(), 51)
}

func TestAsyncConfigIsChecked(t *testing.T) {
	_, err := logger.NewAsync(nil, logger.AsyncConfig{})
	require.ErrorIs(t, err, logger.ErrConfig)
	_, err = logger.NewAsync(discard{}, logger.AsyncConfig{Queue: -1})
	require.ErrorContains(t, err, "Queue is -1")
}

func ExampleNewAsync() {
	sink, err := logger.NewAsync(printer{}, logger.AsyncConfig{})
	if err != nil {
		panic(err)
	}
	var running sync.WaitGroup
	running.Go(func() { _ = sink.Run(context.Background()) })

	log := logger.New(sink)
	log.Info("written in the background")

	_ = sink.Close(context.Background()) // waits until everything is written
	running.Wait()
	// Output:
	// info written in the background []
}
