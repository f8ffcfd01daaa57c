package main

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// group is what is compared with each other.
type group struct {
	name    string
	entries []*entry
}

// entry is one benchmark with all its runs, by unit.
type entry struct {
	name string
	runs map[string][]float64
}

// processors is the number that go test puts behind each name.
var processors = regexp.MustCompile(`-\d+$`)

// parse reads the groups in the order in which they come.
func parse(r io.Reader) ([]*group, error) {
	var groups []*group
	byName := make(map[string]*group)
	pkg := ""
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := lines.Text()
		if name, ok := strings.CutPrefix(line, "pkg: "); ok {
			pkg = name[strings.LastIndex(name, "/")+1:]
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		where, who := split(processors.ReplaceAllString(fields[0], ""))
		where = pkg + " " + where
		g := byName[where]
		if g == nil {
			g = &group{name: where}
			byName[where] = g
			groups = append(groups, g)
		}
		if err := g.entry(who).add(fields[2:]); err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
	}
	return groups, lines.Err()
}

// split takes BenchmarkTake/ours/serial apart into "Take serial" and "ours".
func split(name string) (where, who string) {
	parts := strings.Split(strings.TrimPrefix(name, "Benchmark"), "/")
	if len(parts) == 1 {
		return parts[0], parts[0]
	}
	return strings.Join(append(parts[:1:1], parts[2:]...), " "), parts[1]
}

func (g *group) entry(name string) *entry {
	for _, e := range g.entries {
		if e.name == name {
			return e
		}
	}
	e := &entry{name: name, runs: make(map[string][]float64)}
	g.entries = append(g.entries, e)
	return e
}

// add takes the figures of one run: pairs of number and unit.
func (e *entry) add(fields []string) error {
	for i := 0; i+1 < len(fields); i += 2 {
		value, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return err
		}
		e.runs[fields[i+1]] = append(e.runs[fields[i+1]], value)
	}
	return nil
}

func (e *entry) median(unit string) (float64, bool) {
	runs := slices.Sorted(slices.Values(e.runs[unit]))
	n := len(runs)
	if n == 0 {
		return 0, false
	}
	return (runs[(n-1)/2] + runs[n/2]) / 2, true
}

func (e *entry) ours() bool {
	return strings.HasPrefix(e.name, "ours") || strings.HasPrefix(e.name, "bulwark")
}

// print writes the group as a Markdown table.
func (g *group) print(w io.Writer) {
	_, _ = fmt.Fprintf(w, "\n**%s**\n\n", g.name)
	table := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	_, _ = fmt.Fprintln(table, "| \t| ratio\t| ns/op\t| B/op\t| allocs/op\t|")
	_, _ = fmt.Fprintln(table, "|---\t|---\t|---\t|---\t|---\t|")
	base := 0.0
	if i := slices.IndexFunc(g.entries, (*entry).ours); i >= 0 {
		base, _ = g.entries[i].median("ns/op")
	}
	for _, e := range g.entries {
		ratio := "–"
		if ns, ok := e.median("ns/op"); ok && base > 0 {
			ratio = fmt.Sprintf("%.2f", ns/base)
		}
		_, _ = fmt.Fprintf(table, "| %s\t| %s\t| %s\t| %s\t| %s\t|\n",
			e.name, ratio, e.figure("ns/op"), e.figure("B/op"), e.figure("allocs/op"))
	}
	_ = table.Flush()
}

func (e *entry) figure(unit string) string {
	value, ok := e.median(unit)
	if !ok {
		return "–"
	}
	return strconv.FormatFloat(value, 'g', 4, 64)
}
