package detect

import (
	"bytes"
	"errors"
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"
	"time"
)

const cgroupRoot = "sys/fs/cgroup"

// cgroups is where this process's control groups are. Version 1 has a hierarchy
// for each controller, version 2 one for all; what is missing is the zero folder.
type cgroups struct{ unified, cpu, account, memory folder }

// folder is a group's folder below the mount point of its hierarchy.
type folder struct{ mount, group string }

func (f folder) found() bool { return f.mount != "" }

// upwards calls visit for the group and each one around it: their limits bind us
// too.
func (f folder) upwards(visit func(group string)) {
	for group := f.group; ; group = path.Dir(group) {
		visit(group)
		if group == "/" {
			return
		}
	}
}

// file is the path of a group's file.
func (f folder) file(group, name string) string { return path.Join(f.mount, group, name) }

// findCgroups reads proc/self/cgroup. Inside a container its paths often are those
// of the host, while the container's own files lie at the root of the mount.
func findCgroups(fsys fs.FS) (g cgroups) {
	for line := range strings.Lines(readText(fsys, "proc/self/cgroup")) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		if parts[1] == "" {
			// The second mount is where version 2 lies beside version 1.
			g.unified = locate(fsys, parts[2], "cpu.stat", cgroupRoot, cgroupRoot+"/unified")
		}
		for controller := range strings.SplitSeq(parts[1], ",") {
			// Distributions mount under the own name or the joint one, "cpu,cpuacct".
			mounts := []string{cgroupRoot + "/" + controller, cgroupRoot + "/" + parts[1]}
			switch controller {
			case "cpu":
				g.cpu = locate(fsys, parts[2], "cpu.cfs_quota_us", mounts...)
			case "cpuacct":
				g.account = locate(fsys, parts[2], "cpuacct.usage", mounts...)
			case "memory":
				g.memory = locate(fsys, parts[2], "memory.usage_in_bytes", mounts...)
			}
		}
	}
	return g
}

// locate returns the first folder that has the file name: for each mount the group
// itself, then the root.
func locate(fsys fs.FS, group, name string, mounts ...string) folder {
	for _, mount := range mounts {
		for _, group := range []string{path.Clean("/" + group), "/"} {
			f := folder{mount, group}
			if _, err := fs.Stat(fsys, f.file(group, name)); err == nil {
				return f
			}
		}
	}
	return folder{}
}

// readCPU reads the machine's processor times, and the use and quota of the
// tightest cgroup.
func readCPU(fsys fs.FS, g cgroups) (t cpuTimes, err error) {
	if t.busy, t.all, err = machineCPU(fsys); err != nil {
		t.busy, t.all = 0, 0
	}
	if g.cpu.found() && g.account.found() {
		g.cpu.upwards(func(group string) {
			t.tighten(legacyQuota(fsys, g.cpu, group),
				time.Duration(readKey(fsys, g.account.file(group, "cpuacct.usage"), "")))
		})
	}
	if g.unified.found() {
		g.unified.upwards(func(group string) {
			t.tighten(unifiedQuota(fsys, g.unified, group),
				time.Duration(readKey(fsys, g.unified.file(group, "cpu.stat"), "usage_usec"))*time.Microsecond)
		})
	}
	if t.quota > 0 {
		err = nil // the quota alone will do
	}
	return t, err
}

// tighten takes over the quota and use of a cgroup if it is the tightest so far.
func (t *cpuTimes) tighten(quota float64, used time.Duration) {
	if quota > 0 && (t.quota == 0 || quota < t.quota) {
		t.quota, t.used = quota, used
	}
}

// unifiedQuota reads "max 100000" or "<quota> <period>": processors, 0 for no limit.
func unifiedQuota(fsys fs.FS, f folder, group string) float64 {
	quota, period, _ := strings.Cut(readText(fsys, f.file(group, "cpu.max")), " ")
	return processors(quota, period)
}

func legacyQuota(fsys fs.FS, f folder, group string) float64 {
	return processors(readText(fsys, f.file(group, "cpu.cfs_quota_us")), readText(fsys, f.file(group, "cpu.cfs_period_us")))
}

// processors is how many a quota pays for; 0 for none, "max" or -1.
func processors(quota, period string) float64 {
	q, p := parseFloat(quota), parseFloat(period)
	if q <= 0 || p <= 0 {
		return 0
	}
	return q / p
}

// machineCPU reads the first line of proc/stat: user nice system idle iowait irq
// softirq steal, in ticks. Stolen time counts as busy: it is not ours to use.
func machineCPU(fsys fs.FS) (busy, all uint64, err error) {
	data, err := fs.ReadFile(fsys, "proc/stat")
	if err != nil {
		return 0, 0, err
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	fields := strings.Fields(string(line))
	if len(fields) < 5 || fields[0] != "cpu" {
		return 0, 0, errors.New("proc/stat: no cpu line")
	}
	const idle, iowait, steal = 4, 5, 8
	for i, f := range fields[1:min(len(fields), steal+1)] {
		ticks, err := strconv.ParseUint(f, 10, 64)
		if err != nil {
			return 0, 0, err
		}
		all += ticks
		if i+1 != idle && i+1 != iowait {
			busy += ticks
		}
	}
	return busy, all, nil
}

// readMemory returns the share of memory in use, of the tightest limit.
func readMemory(fsys fs.FS, g cgroups) (float64, error) {
	share, err := machineMemory(fsys)
	read := func(f folder, current, limit, idle string) {
		if !f.found() {
			return
		}
		f.upwards(func(group string) {
			most := parseFloat(readText(fsys, f.file(group, limit)))
			if most <= 0 || most >= 1<<60 { // version 1 says "none" with a number near 2^63
				return
			}
			used := parseFloat(readText(fsys, f.file(group, current))) - float64(readKey(fsys, f.file(group, "memory.stat"), idle))
			share, err = max(share, min(used/most, 1)), nil
		})
	}
	read(g.memory, "memory.usage_in_bytes", "memory.limit_in_bytes", "total_inactive_file")
	read(g.unified, "memory.current", "memory.max", "inactive_file")
	return share, err
}

func machineMemory(fsys fs.FS) (float64, error) {
	total := readKey(fsys, "proc/meminfo", "MemTotal:")
	available := readKey(fsys, "proc/meminfo", "MemAvailable:")
	if total == 0 || available > total {
		return 0, errors.New("proc/meminfo: no memory sizes")
	}
	return 1 - float64(available)/float64(total), nil
}

// The readers below answer with nothing for a file that is missing or odd: each
// cgroup has another set of files, and what is not there sets no limit.

func readText(fsys fs.FS, name string) string {
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// readKey finds "<key> <number>" in a file of such lines; with an empty key, the
// number that is all there is.
func readKey(fsys fs.FS, name, key string) uint64 {
	for line := range strings.Lines(readText(fsys, name)) {
		number, found := strings.CutPrefix(line, key)
		if fields := strings.Fields(number); found && len(fields) > 0 {
			n, _ := strconv.ParseUint(fields[0], 10, 64)
			return n
		}
	}
	return 0
}

// parseFloat gives 0 for what is no finite number, such as "max".
func parseFloat(s string) float64 {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0
	}
	return f
}
