package detect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Node measures how near this node is to its own limits: the processor time and
// memory that its cgroup may use, or the machine has. It reads Linux's /proc and
// both versions of the cgroup file system, and takes the tightest limit of the
// cgroup and those around it, so that its figures are right in a container with a
// quota too.
//
// A Node starts nothing by itself: [Node.Run] samples until its context ends, or
// the owner calls [Node.Sample]. It is safe for concurrent use.
type Node struct {
	fsys     fs.FS
	interval time.Duration
	base     time.Time

	cpu, memory atomic.Uint64 // bits of a float64
	samples     atomic.Uint64

	mu   sync.Mutex
	last *cpuTimes
}

// cpuTimes is one reading of all that grows.
type cpuTimes struct {
	at        time.Duration
	busy, all uint64 // the machine's, in its own ticks; 0 when unknown
	used      time.Duration
	quota     float64 // processors that the cgroup may use; 0: unlimited
}

// NodeOption adjusts [NewNode].
type NodeOption interface{ applyNode(*Node) }

type nodeOptionFunc func(*Node)

func (f nodeOptionFunc) applyNode(n *Node) { f(n) }

// WithRoot reads from root, in which "proc" and "sys/fs/cgroup" are looked for,
// instead of from the machine's "/".
func WithRoot(root fs.FS) NodeOption { return nodeOptionFunc(func(n *Node) { n.fsys = root }) }

// WithInterval sets how often [Node.Run] samples, between 10 ms and one minute.
// Without it that is 500 ms: each figure is an average over the interval, and the
// kernel hands out quotas in slices of 100 ms.
func WithInterval(d time.Duration) NodeOption {
	return nodeOptionFunc(func(n *Node) { n.interval = d })
}

// NewNode returns a Node that has taken its first sample. It fails where there is
// neither a readable /proc nor a cgroup, as on other systems than Linux.
func NewNode(opts ...NodeOption) (*Node, error) {
	n := &Node{interval: 500 * time.Millisecond, base: time.Now()}
	for _, o := range opts {
		o.applyNode(n)
	}
	if n.fsys == nil {
		n.fsys = os.DirFS("/")
	}
	if n.interval < 10*time.Millisecond || n.interval > time.Minute {
		return nil, violation("node", "interval", n.interval, "between 10ms and 1m")
	}
	if err := n.Sample(); err != nil {
		return nil, err
	}
	return n, nil
}

// Run samples until ctx ends, and returns its error. A sample that fails is left
// out; the figures then stay as they are.
func (n *Node) Run(ctx context.Context) error {
	ticker := time.NewTicker(n.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
			_ = n.Sample() // the figures keep their last value, and the next tick tries again
		}
	}
}

// CPU returns the share, from 0 to 1, of the processor time that was used between
// the last two samples: of the cgroup's quota or of the machine, whichever was
// nearer to its limit. It is 0 before the second sample.
func (n *Node) CPU() float64 { return math.Float64frombits(n.cpu.Load()) }

// Memory returns the share, from 0 to 1, of the memory in use at the last sample,
// by the cgroup or the machine, whichever is nearer to its limit. What the kernel
// can take back at once, such as idle file cache, does not count.
func (n *Node) Memory() float64 { return math.Float64frombits(n.memory.Load()) }

// Sample measures now. It reads a handful of small files, which takes some tens of
// microseconds.
func (n *Node) Sample() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	group := findCgroups(n.fsys)
	now, cpuErr := readCPU(n.fsys, group)
	now.at = time.Since(n.base)
	memory, memErr := readMemory(n.fsys, group)
	if cpuErr != nil && memErr != nil {
		return fmt.Errorf("detect: node: %w", errors.Join(cpuErr, memErr))
	}
	if cpuErr == nil {
		if n.last != nil {
			n.cpu.Store(math.Float64bits(now.since(n.last)))
		}
		n.last = &now
	}
	if memErr == nil {
		n.memory.Store(math.Float64bits(memory))
	}
	n.samples.Add(1)
	return nil
}

// since is the share used between two readings, of the tighter limit.
func (t *cpuTimes) since(before *cpuTimes) float64 {
	share := 0.0
	if t.all > before.all && t.busy >= before.busy {
		share = float64(t.busy-before.busy) / float64(t.all-before.all)
	}
	if elapsed := t.at - before.at; t.quota > 0 && elapsed > 0 && t.used >= before.used {
		share = max(share, float64(t.used-before.used)/float64(elapsed)/t.quota)
	}
	return min(share, 1)
}

// nodeRun is how many samples in a row must be over the limit: one alone may be a
// garbage collection or a neighbour's cron job.
const nodeRun = 3

// CPU finds this node ill when three samples of its processor use in a row were at
// share or more. It judges nothing while nobody samples.
func CPU(node *Node, share float64) Spec { return newNodeSpec("CPU", node, (*Node).CPU, share) }

// Memory finds this node ill when three samples of its memory use in a row were at
// share or more. It judges nothing while nobody samples.
func Memory(node *Node, share float64) Spec {
	return newNodeSpec("memory", node, (*Node).Memory, share)
}

func newNodeSpec(name string, node *Node, read func(*Node) float64, share float64) Spec {
	return specFunc(func() (Detector, error) {
		var c checks
		c.require(node != nil, name, "node", node, "given")
		c.require(share > 0 && share <= 1, name, "share", share, "above 0 and at most 1")
		if err := c.err(); err != nil {
			return nil, err
		}
		return &nodeLimit{name: name, node: node, read: read, limit: share, seen: node.samples.Load()}, nil
	})
}

type nodeLimit struct {
	name  string
	node  *Node
	read  func(*Node) float64
	limit float64
	seen  uint64
	run   int
}

func (d *nodeLimit) Timed() {}

// Begin and End are here for the sake of being asked as time passes: a node
// without finished calls may be a node that is too busy.

// Begin implements [Watcher].
func (d *nodeLimit) Begin(time.Duration) {}

// End implements [Watcher].
func (d *nodeLimit) End(time.Duration) {}

func (d *nodeLimit) Record(Call) bool { return d.node.samples.Load() != d.seen }

func (d *nodeLimit) Ill(time.Duration) (string, bool) {
	if n := d.node.samples.Load(); n != d.seen {
		d.seen = n
		if d.read(d.node) >= d.limit {
			d.run++
		} else {
			d.run = 0
		}
	}
	if d.run < nodeRun {
		return "", false
	}
	return fmt.Sprintf("%s at %.0f%%", d.name, 100*d.read(d.node)), true
}
