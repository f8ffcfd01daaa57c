package saramax_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/embedded"
	"github.com/bulwark-go/bulwark/internal/testenv"
	"github.com/bulwark-go/bulwark/saramax"
)

// oracle knows what a correct group of consumers may do. Each key has its own sequence
// 0, 1, 2, ...: a restart may go back in it, and nothing may ever jump forward.
type oracle struct {
	mu      sync.Mutex
	highest map[string]int // of each key, what was handled up to now
	done    map[int32]map[int64]bool
	left    int
	calls   int
	faults  []string
}

func newOracle() *oracle {
	return &oracle{highest: map[string]int{}, done: map[int32]map[int64]bool{}}
}

func (o *oracle) expect(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.left += n
}

// handled is called at the end of a handler that says done.
func (o *oracle) handled(rec saramax.Record[event]) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls++
	last, seen := o.highest[rec.Value.Key]
	if !seen {
		last = -1
	}
	if rec.Value.Seq > last+1 {
		o.faults = append(o.faults, fmt.Sprintf("key %s jumps from %d to %d", rec.Value.Key, last, rec.Value.Seq))
	}
	o.highest[rec.Value.Key] = max(last, rec.Value.Seq)
	if o.done[rec.Partition] == nil {
		o.done[rec.Partition] = map[int64]bool{}
	}
	if !o.done[rec.Partition][rec.Offset] {
		o.done[rec.Partition][rec.Offset] = true
		o.left--
	}
}

// committedAt checks a commit that the coordinator told.
func (o *oracle) committedAt(partition int32, offset int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for at := range offset {
		if !o.done[partition][at] {
			o.faults = append(o.faults, fmt.Sprintf("partition %d is committed at %d, and %d is not done", partition, offset, at))
			return
		}
	}
}

func (o *oracle) state() (left, calls int, faults []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.left, o.calls, append([]string(nil), o.faults...)
}

// chaos is one run: members come, go and are killed, the broker restarts, handlers fail.
type chaos struct {
	t          *testing.T
	rand       *rand.Rand
	addrs      []string
	topic      string
	group      string
	partitions int32
	protocol   func(*sarama.Config)
	oracle     *oracle
	members    []*chaosMember
	restart    func()
}

type chaosMember struct {
	*running
	client sarama.Client
	errors *journal[saramax.Event]
}

func (c *chaos) join() {
	cl, err := sarama.NewClient(c.addrs, chaosConfig(c.protocol))
	if err != nil {
		return // the broker is away: somebody else will come
	}
	seed := c.rand.Uint64()
	var mu sync.Mutex
	dice := rand.New(rand.NewPCG(seed, 1))
	roll := func(n int) bool { mu.Lock(); defer mu.Unlock(); return dice.IntN(n) == 0 }
	judge := func(rec saramax.Record[event]) error {
		if roll(40) {
			return errTransient
		}
		if roll(300) {
			panic("a handler's mistake")
		}
		c.oracle.handled(rec)
		return nil
	}
	work := saramax.Each(func(_ context.Context, rec saramax.Record[event]) error { return judge(rec) })
	opts := []saramax.Option{saramax.WithOrder(saramax.OrderKey, 4)}
	if seed%2 == 0 {
		work = saramax.Batch(func(_ context.Context, batch []saramax.Record[event]) []saramax.Verdict {
			out := make([]saramax.Verdict, len(batch))
			failed := map[string]bool{} // nothing of a key goes on after one that failed
			for i, rec := range batch {
				if failed[rec.Value.Key] {
					out[i] = saramax.Retry(errTransient)
				} else if err := judge(rec); err != nil {
					failed[rec.Value.Key] = true
					out[i] = saramax.Retry(err)
				}
			}
			return out
		})
		opts = []saramax.Option{saramax.WithBatch(20, 5*time.Millisecond)}
	}
	opts = append(opts, saramax.WithRetry(saramax.RetryPolicy{Attempts: 1 << 20, Base: time.Millisecond, Max: 10 * time.Millisecond}),
		saramax.WithCommitEvery(20*time.Millisecond), saramax.WithDrain(2*time.Second),
		saramax.WithWindow(saramax.Window{Messages: 200}), saramax.WithBatch(20, 5*time.Millisecond))
	var errors journal[saramax.Event]
	opts = append(opts, saramax.OnEvent(func(e saramax.Event) {
		if e.Kind == saramax.EventError || e.Kind == saramax.EventAbandoned || e.Kind == saramax.EventStuck {
			errors.add(e)
		}
	}))
	consumer, err := saramax.NewConsumer(cl, c.group, []string{c.topic}, work, opts...)
	require.NoError(c.t, err)
	c.members = append(c.members, &chaosMember{start(c.t, consumer), cl, &errors})
}

func chaosConfig(protocol func(*sarama.Config)) *sarama.Config {
	cfg := config()
	protocol(cfg)
	cfg.Consumer.Group.Session.Timeout = 6 * time.Second // the least that brokers take
	cfg.Consumer.Group.Heartbeat.Interval = 50 * time.Millisecond
	cfg.Metadata.Retry.Max = 1
	return cfg
}

// leave takes a member out: in good order, or as a crash would.
func (c *chaos) leave(kill bool) {
	i := c.rand.IntN(len(c.members))
	m := c.members[i]
	c.members = append(c.members[:i], c.members[i+1:]...)
	if kill {
		_ = m.client.Close() // no commit, no leave gets through from here on
	}
	m.stop()
	_ = m.wait()
	_ = m.client.Close()
}

func (c *chaos) step() {
	switch n := c.rand.IntN(10); {
	case len(c.members) < 2 || n < 4 && len(c.members) < 5:
		c.join()
	case n < 8:
		c.leave(false)
	case n == 8:
		c.leave(true)
	case c.restart != nil:
		c.restart()
	}
}

func (c *chaos) run(steps, perStep int) {
	sent := make([]int, c.partitions)
	producer := &cluster{t: c.t, addrs: c.addrs, topic: c.topic}
	const keys = 7
	defer func() {
		if c.t.Failed() {
			c.tell()
		}
	}()
	for range steps {
		c.step()
		for p := range c.partitions {
			var messages []*sarama.ProducerMessage
			for range perStep {
				key := fmt.Sprintf("p%d-k%d", p, sent[p]%keys)
				messages = append(messages, &sarama.ProducerMessage{
					Topic: c.topic, Partition: p, Key: sarama.StringEncoder(key),
					Value: sarama.ByteEncoder(encoded(event{key, sent[p] / keys})),
				})
				sent[p]++
			}
			producer.send(messages...)
			c.oracle.expect(perStep)
		}
		before, _, _ := c.oracle.state()
		eventually(c.t, "some progress", func() bool {
			left, _, faults := c.oracle.state()
			return left < before || left == 0 || len(faults) > 0
		})
		c.checkCommits()
	}
	for len(c.members) < 1 {
		c.join()
	}
	eventually(c.t, "every record", func() bool {
		left, _, faults := c.oracle.state()
		return left == 0 || len(faults) > 0
	})
	for len(c.members) > 0 {
		c.leave(false)
	}
	c.checkCommits()
	_, calls, faults := c.oracle.state()
	require.Empty(c.t, faults)
	total := 0
	for p, n := range sent {
		total += n
		cl := client(c.t, c.addrs)
		require.EqualValues(c.t, n, committed(c.t, cl, c.group, c.topic, int32(p)), "the last to leave has committed all")
	}
	c.t.Logf("%d records, %d handled again", total, calls-total)
}

// tell writes down what each member is at.
func (c *chaos) tell() {
	for i, m := range c.members {
		c.t.Logf("member %d: %+v", i, m.Status())
		for _, e := range m.errors.list() {
			c.t.Logf("member %d: %v", i, e)
		}
	}
}

// checkCommits asks the coordinator, not our own state.
func (c *chaos) checkCommits() {
	cl := client(c.t, c.addrs)
	defer func() { _ = cl.Close() }()
	for p := range c.partitions {
		c.oracle.committedAt(p, max(committed(c.t, cl, c.group, c.topic, p), 0))
	}
}

// embed gives the run a broker of its own, that restarts.
func (c *chaos) embed() {
	cfg := embedded.KafkaConfig{Dir: c.t.TempDir(), Topics: []embedded.Topic{{Name: c.topic, Partitions: int(c.partitions)}}}
	broker := testenv.EmbeddedKafka(c.t, cfg)
	c.addrs = broker.Addrs()
	cfg.Ports = ports(c.t, c.addrs)
	c.restart = func() {
		require.NoError(c.t, broker.Close())
		broker = testenv.EmbeddedKafka(c.t, cfg)
	}
}

func TestChaosLosesNothing(t *testing.T) {
	seeds := testenv.Scale(1, 50)
	base := uint64(time.Now().UnixNano())
	if s, err := strconv.ParseUint(os.Getenv("CHAOS_SEED"), 10, 64); err == nil {
		base, seeds = s, 1
	}
	for name, protocol := range protocols {
		for i := range seeds {
			seed := base + uint64(i)
			t.Run(fmt.Sprintf("%s/%d", name, seed), func(t *testing.T) {
				const partitions = 4
				c := &chaos{
					t: t, rand: rand.New(rand.NewPCG(seed, 0)), topic: "orders", group: "group", partitions: partitions,
					protocol: protocol, oracle: newOracle(),
				}
				if os.Getenv(testenv.EnvKafka) != "" { // it is everybody's, and so goes on running
					c.addrs = testenv.Kafka(t)
					c.topic, c.group = testenv.Topic(t, c.addrs, partitions), testenv.Name(t)
				} else {
					c.embed()
				}
				c.run(testenv.Scale(8, 30), 60)
			})
		}
	}
}
