package detect_test

import (
	"context"
	"maps"
	"runtime"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
)

// machine is a file tree, changed from sample to sample.
type machine map[string]string

func (m machine) fs() fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, text := range m {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

func (m machine) with(more machine) machine {
	all := maps.Clone(m)
	maps.Copy(all, more)
	return all
}

// node returns a Node over files that can be exchanged.
func node(t *testing.T, m machine) (*detect.Node, func(machine)) {
	t.Helper()
	files := m.fs()
	n, err := detect.NewNode(detect.WithRoot(files))
	require.NoError(t, err)
	return n, func(next machine) {
		clear(files)
		maps.Copy(files, next.fs())
		time.Sleep(time.Second) // of the bubble
		require.NoError(t, n.Sample())
	}
}

var bare = machine{
	"proc/stat":        "cpu  100 0 100 700 100 0 0 0 50 0\ncpu0 1 1 1 1\n",
	"proc/meminfo":     "MemTotal:       1000 kB\nMemFree:         100 kB\nMemAvailable:    750 kB\n",
	"proc/self/cgroup": "0::/\n",
}

func TestNodeMeasuresTheMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, next := node(t, bare)
		require.Zero(t, n.CPU(), "one sample is no difference")
		require.InDelta(t, 0.25, n.Memory(), 1e-9)
		// 100 ticks more, of which 20 idle and 20 waiting for disks; guest time is in user's already.
		next(bare.with(machine{"proc/stat": "cpu  130 0 120 720 120 0 0 10 999 0\n"}))
		require.InDelta(t, 0.6, n.CPU(), 1e-9)
	})
}

func TestNodeMeasuresTheQuotaOfItsControlGroup(t *testing.T) {
	unified := bare.with(machine{
		"proc/self/cgroup":                       "0::/pod/main\n",
		"sys/fs/cgroup/pod/main/cpu.stat":        "usage_usec 1000000\nuser_usec 1\n",
		"sys/fs/cgroup/pod/main/cpu.max":         "200000 100000\n",
		"sys/fs/cgroup/pod/main/memory.current":  "600\n",
		"sys/fs/cgroup/pod/main/memory.max":      "1000\n",
		"sys/fs/cgroup/pod/main/memory.stat":     "anon 1\ninactive_file 200\n",
		"sys/fs/cgroup/pod/cpu.stat":             "usage_usec 5000000\n",
		"sys/fs/cgroup/pod/cpu.max":              "max 100000\n",
		"sys/fs/cgroup/pod/memory.current":       "1600\n",
		"sys/fs/cgroup/pod/memory.max":           "max\n",
		"sys/fs/cgroup/pod/memory.stat":          "inactive_file 0\n",
		"sys/fs/cgroup/cpu.stat":                 "usage_usec 9\n",
		"sys/fs/cgroup/pod/main/cgroup.freeze":   "0\n",
		"sys/fs/cgroup/pod/main/memory.swap.max": "max\n",
	})
	legacy := bare.with(machine{
		"proc/self/cgroup":                                "12:memory:/docker/ab\n4:cpu,cpuacct:/docker/ab\n0::/\n",
		"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us":      "200000\n",
		"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us":     "100000\n",
		"sys/fs/cgroup/cpu,cpuacct/cpuacct.usage":         "1000000000\n",
		"sys/fs/cgroup/memory/memory.usage_in_bytes":      "600\n",
		"sys/fs/cgroup/memory/memory.limit_in_bytes":      "1000\n",
		"sys/fs/cgroup/memory/memory.stat":                "inactive_file 5\ntotal_inactive_file 200\n",
		"sys/fs/cgroup/cpu,cpuacct/cgroup.clone_children": "0\n",
	})
	for name, c := range map[string]struct {
		first machine
		then  machine
	}{
		"version 2": {unified, machine{"sys/fs/cgroup/pod/main/cpu.stat": "usage_usec 2500000\n"}},
		"version 2, a group around it is tighter": {
			unified.with(machine{
				"sys/fs/cgroup/pod/main/cpu.max": "max 100000\n", "sys/fs/cgroup/pod/cpu.max": "200000 100000\n",
				"sys/fs/cgroup/pod/main/memory.max": "max\n", "sys/fs/cgroup/pod/memory.max": "4000\n",
			}),
			machine{"sys/fs/cgroup/pod/cpu.stat": "usage_usec 6500000\n"},
		},
		"version 1, paths of the host": {legacy, machine{"sys/fs/cgroup/cpu,cpuacct/cpuacct.usage": "2500000000\n"}},
		"no /proc/stat": {
			machine{"proc/self/cgroup": "0::/pod/main\n"}.with(without(unified, "proc/stat", "proc/meminfo")),
			machine{"sys/fs/cgroup/pod/main/cpu.stat": "usage_usec 2500000\n"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, next := node(t, c.first)
				require.InDelta(t, 0.4, n.Memory(), 1e-9)
				next(c.first.with(c.then))
				require.InDelta(t, 0.75, n.CPU(), 1e-9, "1.5 s of processor time in 1 s, of 2")
			})
		})
	}
}

func without(m machine, names ...string) machine {
	m = maps.Clone(m)
	for _, name := range names {
		delete(m, name)
	}
	return m
}

func TestNodeTakesNoLimitForNoLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, next := node(t, bare.with(machine{
			"proc/self/cgroup":                           "3:memory:/\n2:cpu:/\n1:cpuacct:/\n",
			"sys/fs/cgroup/cpu/cpu.cfs_quota_us":         "-1\n",
			"sys/fs/cgroup/cpu/cpu.cfs_period_us":        "100000\n",
			"sys/fs/cgroup/cpuacct/cpuacct.usage":        "1\n",
			"sys/fs/cgroup/memory/memory.usage_in_bytes": "600\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}))
		require.InDelta(t, 0.25, n.Memory(), 1e-9)
		next(bare.with(machine{"proc/stat": "cpu  200 0 100 700 100 0 0 0\n"}))
		require.InDelta(t, 1, n.CPU(), 1e-9)
	})
}

func TestNodeNeedsSomethingToRead(t *testing.T) {
	_, err := detect.NewNode(detect.WithRoot(fstest.MapFS{}))
	require.ErrorContains(t, err, "detect: node: ")
	_, err = detect.NewNode(detect.WithRoot(machine{"proc/stat": "intr 5\n", "proc/meminfo": "MemTotal: 5 kB\nMemAvailable: 9 kB\n"}.fs()))
	require.ErrorContains(t, err, "no cpu line")
	require.ErrorContains(t, err, "no memory sizes")
	_, err = detect.NewNode(detect.WithRoot(bare.fs()), detect.WithInterval(time.Hour))
	require.ErrorContains(t, err, "interval 1h0m0s")
}

func TestThreeBusySamplesMakeTheNodeIll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, next := node(t, bare)
		cpu, memory := build(t, detect.CPU(n, 0.9)), build(t, detect.Memory(n, 0.2))
		busy := []string{"cpu 200 0 100 700 100", "cpu 300 0 100 700 100", "cpu 400 0 100 700 100"}
		for _, line := range busy {
			require.False(t, ill(cpu, 0))
			require.False(t, ill(memory, 0))
			next(bare.with(machine{"proc/stat": line}))
			require.True(t, cpu.Record(succeed(0)), "a new sample is worth a question")
			_, _ = cpu.Ill(0)
			_, _ = memory.Ill(0)
		}
		evidence, yes := cpu.Ill(0)
		require.True(t, yes)
		require.Equal(t, "CPU at 100%", evidence)
		require.True(t, ill(memory, 0))
		next(bare.with(machine{"proc/stat": "cpu 400 0 100 800 100"}))
		require.False(t, ill(cpu, 0), "one calm sample is enough")
	})
}

func TestANodeThatNobodySamplesIsNotIll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _ := node(t, bare)
		d := build(t, detect.Memory(n, 0.1))
		for range 10 {
			require.False(t, d.Record(succeed(0)))
			require.False(t, ill(d, 0), "the same sample seen again is one sample")
		}
	})
}

func TestRunSamplesUntilItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := detect.NewNode(detect.WithRoot(bare.fs()), detect.WithInterval(100*time.Millisecond))
		require.NoError(t, err)
		d := build(t, detect.Memory(n, 0.1))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		done := make(chan error)
		go func() { done <- n.Run(ctx) }()
		for range 5 {
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			_, _ = d.Ill(0)
		}
		require.True(t, ill(d, 0))
		require.ErrorIs(t, <-done, context.DeadlineExceeded)
	})
}

func TestNodeReadsThisMachine(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc on " + runtime.GOOS)
	}
	n, err := detect.NewNode()
	require.NoError(t, err)
	require.Greater(t, n.Memory(), 0.0)
	require.LessOrEqual(t, n.Memory(), 1.0)
	require.NoError(t, n.Sample())
	require.GreaterOrEqual(t, n.CPU(), 0.0)
	require.LessOrEqual(t, n.CPU(), 1.0)
}

func FuzzNodeReadsAnyFiles(f *testing.F) {
	f.Add("0::/a/../b\n", "cpu 1 2 3 4", "MemTotal: 1 kB", "max 0", "usage_usec x")
	f.Add("1:cpu,cpuacct:/x\n2:memory:/y\nnonsense", "cpu", "", "NaN Inf", "usage_usec 99999999999999999999")
	f.Fuzz(func(t *testing.T, group, stat, meminfo, limit, usage string) {
		files := machine{"proc/self/cgroup": group, "proc/stat": stat, "proc/meminfo": meminfo}
		for _, dir := range []string{"", "cpu/", "cpuacct/", "memory/", "cpu,cpuacct/"} {
			for _, name := range []string{"cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us", "memory.max", "memory.limit_in_bytes"} {
				files["sys/fs/cgroup/"+dir+name] = limit
			}
			for _, name := range []string{"cpu.stat", "cpuacct.usage", "memory.current", "memory.usage_in_bytes", "memory.stat"} {
				files["sys/fs/cgroup/"+dir+name] = usage
			}
		}
		n, err := detect.NewNode(detect.WithRoot(files.fs()))
		if err != nil {
			return
		}
		_ = n.Sample()
		for _, share := range []float64{n.CPU(), n.Memory()} {
			require.True(t, share >= 0 && share <= 1, "share %v", share)
		}
	})
}
