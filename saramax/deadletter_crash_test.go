package saramax_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/saramax"
)

// The crash tests run this test binary again as a consumer that kills itself at a named
// step: crashEnv holds "brokers topic group delay step count".
const crashEnv = "SARAMAX_CRASH"

// dyingPublisher kills the process before or after the nth publication to a topic whose
// name ends in suffix.
type dyingPublisher struct {
	sarama.SyncProducer
	suffix string
	after  bool
	left   int
}

func (p *dyingPublisher) SendMessage(m *sarama.ProducerMessage) (int32, int64, error) {
	mine := strings.HasSuffix(m.Topic, p.suffix) && m.Value != nil
	if mine {
		p.left--
	}
	if mine && !p.after && p.left == 0 {
		die()
	}
	partition, offset, err := p.SyncProducer.SendMessage(m)
	if mine && p.after && p.left == 0 {
		die()
	}
	return partition, offset, err
}

// die leaves as kill -9 does: nothing is flushed or committed.
func die() {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		_ = self.Kill()
	}
	select {}
}

// crashing is the handler's verdict: every third record is beyond help, and every fifth
// needs the retry topic.
func crashing(rec saramax.Record[event]) error {
	switch {
	case rec.Value.Seq%3 == 0:
		return saramax.Permanent(errors.New("no such account"))
	case rec.Value.Seq%5 == 0 && !strings.Contains(rec.Topic, ".retry."):
		return errors.New("connection refused")
	}
	return nil
}

// TestCrashingConsumer is no test of its own but the process that the crash tests kill.
func TestCrashingConsumer(t *testing.T) {
	args := strings.Fields(os.Getenv(crashEnv))
	if len(args) != 6 {
		t.Skip("runs in a process of its own, for the tests of crashes")
	}
	addrs, topic, group := strings.Split(args[0], ","), args[1], args[2]
	delay, err := time.ParseDuration(args[3])
	require.NoError(t, err)
	count, err := strconv.Atoi(args[5])
	require.NoError(t, err)
	step, suffix, _ := strings.Cut(args[4], ":")
	p := &dyingPublisher{SyncProducer: syncProducer(t, addrs), suffix: suffix, after: step == "after", left: count}
	c, err := saramax.NewConsumer(client(t, addrs, quickToMiss), group, []string{topic},
		saramax.Each(func(_ context.Context, rec saramax.Record[event]) error { return crashing(rec) }),
		crashOptions(p, delay)...)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_ = c.Run(ctx)
}

// quickToMiss has a killed member's partitions given to the next one soon.
func quickToMiss(cfg *sarama.Config) {
	cfg.Consumer.Group.Session.Timeout = 6 * time.Second // the least that brokers allow
	cfg.Consumer.Group.Rebalance.Timeout = 6 * time.Second
}

func crashOptions(p saramax.Publisher, delay time.Duration) []saramax.Option {
	return []saramax.Option{
		quick(1), saramax.WithDeadLetter(p), saramax.WithRetryTopics(p, delay), saramax.WithDrain(4 * time.Second),
		saramax.WithDeadLetterBudget(saramax.Budget{Run: 1 << 30}), saramax.WithCommitEvery(20 * time.Millisecond),
	}
}

// TestACrashLosesNoFailedRecord kills a consumer around every publication of the way of
// a failed record, and demands that the next one finishes: each record is in the
// dead-letter topic if it must be, with its identity, and no other is.
func TestACrashLosesNoFailedRecord(t *testing.T) {
	const delay = 100 * time.Millisecond
	n := 60
	for _, step := range []string{"before:.dlt", "after:.dlt", "before:.retry.100ms", "after:.retry.100ms", "before:.blocked", "after:.blocked"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			w := newWard(t, 1, delay)
			w.send(w.events(0, n, 1)...)
			for _, count := range []int{1, 2}[:testenv.Scale(1, 2)] {
				w.crash(step, delay, count)
			}
			cl := client(t, w.addrs, quickToMiss)
			w.client = cl
			r := start(t, w.consumer(saramax.Each(func(_ context.Context, rec saramax.Record[event]) error {
				return crashing(rec)
			}), crashOptions(w.producer, delay)...))
			retry := saramax.RetryTopic(w.topic, w.group, delay)
			eventually(t, "everything passed", func() bool {
				end, err := cl.GetOffset(retry, 0, sarama.OffsetNewest)
				return err == nil && w.committed(0) == int64(n) && w.committedIn(retry, 0) == end
			})
			require.NoError(t, r.end())
			w.requireAccountedFor(n)
		})
	}
}

// crash runs a consumer that dies at a step.
func (w *ward) crash(step string, delay time.Duration, count int) {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), os.Args[0], "-test.run=^TestCrashingConsumer$", "-test.count=1")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s %v %s %d", crashEnv, strings.Join(w.addrs, ","), w.topic, w.group, delay, step, count))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(w.t, err, &exit, "it was to be killed: %s", out)
	require.Equal(w.t, -1, exit.ExitCode(), "it was to be killed: %s", out)
}

// requireAccountedFor holds the dead-letter topic against what handlers say.
func (w *ward) requireAccountedFor(n int) {
	w.t.Helper()
	dead := map[int64]int{}
	for _, msg := range w.deadLetters() {
		f, ok := saramax.FailureIn(headers(msg))
		require.True(w.t, ok)
		require.Equal(w.t, w.topic, f.Origin.Topic)
		dead[f.Origin.Offset]++
	}
	for offset := range int64(n) {
		if offset%3 == 0 {
			require.Positive(w.t, dead[offset], "offset %d is lost", offset)
			require.LessOrEqual(w.t, dead[offset], 3, "offset %d is there once for each crash, at most", offset)
		} else {
			require.Zero(w.t, dead[offset], "offset %d is dead without a reason", offset)
		}
	}
	w.t.Logf("%d of %d dead letters are repeats", len(w.deadLetters())-len(dead), len(dead))
}
