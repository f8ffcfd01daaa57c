package console

import (
	"context"
	"fmt"
	"html/template"
	"runtime/debug"
	"strings"
	"time"

	"github.com/bulwark-go/bulwark/examples/webook/internal/health"
)

// Build says which program runs.
type Build struct {
	Version string
	// Revision is empty where the toolchain did not record it.
	Revision string
	Go       string
}

// ReadBuild returns what the Go toolchain wrote into the binary.
func ReadBuild() Build {
	b := Build{Version: "devel"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Go = info.GoVersion
	if v := info.Main.Version; v != "" && v != "(devel)" {
		b.Version = v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.Revision = s.Value[:min(12, len(s.Value))]
		}
	}
	return b
}

// view is what the first page shows, taken at one moment.
type view struct {
	frame
	Components []health.Status
	Down       int
	Total      Traffic
	Routes     []RouteTraffic
	Spark      string
	Peak       int64
	Sets       []setView
	Breakers   []breakerView
	Refusing   int
	Messages   *messagesView
	Consumers  []consumerView
	Problems   []Problem
}

func (c *Console) look(ctx context.Context, f frame) view {
	v := view{
		frame: f, Components: c.Health.Statuses(), Routes: c.Rates.Routes(f.Now), Problems: c.Recent.Problems(),
		Breakers: c.Breakers.look(), Messages: c.Messages.look(ctx), Consumers: c.lookAtConsumers(),
	}
	for _, s := range v.Components {
		if !s.Up {
			v.Down++
		}
	}
	for _, b := range v.Breakers {
		if !b.Good() {
			v.Refusing++
		}
	}
	for _, s := range c.Sets {
		set := s.look(ctx, f.Now)
		set.Unlocked = f.Who != ""
		v.Sets = append(v.Sets, set)
	}
	var perSecond [windowSeconds]int64
	perSecond, v.Total = c.Rates.Seconds(f.Now)
	v.Spark, v.Peak = spark(perSecond[:])
	return v
}

var functions = template.FuncMap{
	"ago": ago, "span": span, "took": took, "clock": clock, "day": day, "rate": rate, "share": share, "why": why, "percent": percent,
	"short": short, "cut": cut,
}

// spark draws counts as the points of a polyline in a box of 600 × 80.
func spark(counts []int64) (points string, peak int64) {
	const width, height = 600.0, 80.0
	for _, n := range counts {
		peak = max(peak, n)
	}
	var b strings.Builder
	for i, n := range counts {
		x := width * float64(i) / float64(len(counts)-1)
		y := height - (height-4)*float64(n)/float64(max(peak, 1)) - 2
		fmt.Fprintf(&b, "%.1f,%.1f ", x, y)
	}
	return strings.TrimSpace(b.String()), peak
}

// ago writes the time since then.
func ago(now, then time.Time) string { return span(now.Sub(then)) }

// span writes a time span as people say it: two units at most.
func span(d time.Duration) string {
	d = max(d, 0).Truncate(time.Second)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm %ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh %dm", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%dd %dh", int(d.Hours())/24, int(d.Hours())%24)
	}
}

// took writes a duration in milliseconds.
func took(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	if ms < 10 {
		return fmt.Sprintf("%.2f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

func clock(t time.Time) string { return t.Format("15:04:05") }

// day is a moment that may be long ago, in UTC as all instances have it.
func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// percent writes a share from 0 to 1.
func percent(f float64) string { return fmt.Sprintf("%.4g %%", 100*f) }

func rate(f float64) string { return fmt.Sprintf("%.1f", f) }

// short is enough of a long name to tell it from others.
func short(s string) string { return s[:min(len(s), 12)] }

// share writes part of whole in per cent.
func share(part, whole int64) string {
	return fmt.Sprintf("%.1f %%", 100*float64(part)/float64(max(whole, 1)))
}
