package main

import (
	"fmt"

	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
	"github.com/bulwark-go/bulwark/failover/async"
	"github.com/bulwark-go/bulwark/internal/simulate"
)

// minute is what "never" is drawn as.
const minute = 60.0

// median returns the median delay of some runs in seconds; false when the half of them
// noticed nothing.
func median(spec detect.Spec, w simulate.Weather, runs int) (float64, bool) {
	found := simulate.Delays(spec, w, runs)
	if len(found) <= runs/2 {
		return minute, false
	}
	return found[runs/2].Seconds(), true
}

// judgementDelay shows how soon each judge notices each incident.
func judgementDelay() string {
	const runs, bar, gap = 21, 15.0, 22.0
	all := simulate.Judges()
	judges := []struct {
		name, class string
		spec        detect.Spec
	}{
		{"async.Crash", "a", all[0].Spec}, {"3 time-outs in a row", "b", all[1].Spec},
		{"error rate 50 %", "d", all[3].Spec}, {"error rate 20 %", "c", all[4].Spec},
	}
	c := newCanvas(860, 540, "How soon an incident is noticed",
		"Median of 21 simulated incidents: 100 calls a second, usual latency 100 ms, time-out 5 s. Shorter is better.")
	p := panel{c, scale{from: 0.1, to: minute, at: 220, end: 820, log: true}, scale{at: 492, end: 104}}
	for _, t := range []tick{{0.1, "0.1 s"}, {0.3, "0.3 s"}, {1, "1 s"}, {3, "3 s"}, {5, "5 s"}, {10, "10 s"}, {30, "30 s"}} {
		x := p.x.place(t.value)
		c.line(x, p.y.at, x, p.y.end, "grid")
		c.text(x, p.y.at+20, "middle", "tick", t.name)
	}
	x := p.x.at
	for _, j := range judges {
		c.rect(x, 74, 12, 12, j.class)
		c.text(x+18, 85, "start", "tick", j.name)
		x += 40 + 6.6*float64(len(j.name))
	}
	y := p.y.end + 8
	for _, w := range simulate.Incidents {
		c.text(p.x.at-14, y+2*bar+4, "end", "", w.Name)
		for i, j := range judges {
			at := y + float64(i)*bar
			seconds, noticed := median(j.spec, w, runs)
			if !noticed {
				c.text(p.x.at+6, at+bar-4, "start", "tick", "not within a minute")
				continue
			}
			end := p.x.place(seconds)
			c.rect(p.x.at, at+1, end-p.x.at, bar-3, j.class)
			c.text(end+6, at+bar-4, "start", "tick", fmt.Sprintf("%.2f s", seconds))
		}
		y += 4*bar + gap - 5
	}
	c.line(p.x.at, p.y.at, p.x.at, p.y.end, "axis")
	c.text((p.x.at+p.x.end)/2, p.y.at+40, "middle", "tick", "time until noticed (logarithmic)")
	return c.done()
}

// setting is one of a judge's.
type setting struct {
	name string
	spec detect.Spec
}

// family is a judge at several settings, from quick to sure.
type family struct {
	name, class string
	settings    []setting
}

func families() []family {
	ours := family{name: "async.Crash, threshold 5 to 14", class: "a"}
	for _, h := range []float64{5, 6, 7, 8, 10, 14} {
		ours.settings = append(ours.settings, setting{fmt.Sprint(h), async.Crash(async.JudgeConfig{Threshold: h})})
	}
	rows := family{name: "2 to 5 time-outs in a row", class: "b"}
	for _, n := range []int{2, 3, 5} {
		rows.settings = append(rows.settings, setting{fmt.Sprint(n), simulate.Timeouts(n)})
	}
	rates := family{name: "error rate 10 % to 50 %", class: "d"}
	for _, r := range []float64{0.1, 0.15, 0.2, 0.5} {
		rates.settings = append(rates.settings, setting{fmt.Sprintf("%.0f %%", 100*r), detect.ErrorRate(r, 20)})
	}
	return []family{ours, rows, rates}
}

// judgementTradeoff shows what each judge pays for being sure.
func judgementTradeoff() string {
	const calls, runs = 200_000, 11
	c := newCanvas(860, 470, "What being sure costs",
		"False alarms while 4 % of the calls fail and 1 % time out, against the time until an incident is noticed. Lower left is better.")
	incidents := []simulate.Weather{simulate.Incidents[0], simulate.Incidents[2]}
	alarms := map[string]float64{}
	for i, w := range incidents {
		left := 86 + 416*float64(i)
		p := panel{c, scale{from: 2.5, to: 10_000, at: left, end: left + 320, log: true}, scale{from: 0.05, to: 20, at: 404, end: 124, log: true}}
		p.axes([]tick{{2.5, "none"}, {10, "10"}, {100, "100"}, {1000, "1 000"}, {10_000, "10 000"}},
			[]tick{{0.1, "0.1 s"}, {0.3, "0.3 s"}, {1, "1 s"}, {3, "3 s"}, {10, "10 s"}}, "false alarms in a million calls", "time until noticed")
		c.text(left+160, 116, "middle", "sub", w.Name)
		for _, f := range families() {
			var points []point
			for _, s := range f.settings {
				key := f.name + s.name
				if _, known := alarms[key]; !known {
					alarms[key] = float64(simulate.FalseAlarms(s.spec, simulate.Windy, calls)) * 1e6 / calls
				}
				if seconds, noticed := median(s.spec, w, runs); noticed {
					points = append(points, point{max(alarms[key], 2.5), seconds})
				}
			}
			if len(points) == 0 {
				c.text(left+160, 140, "middle", f.class, f.name+": never")
				continue
			}
			p.curve(points, f.class)
			for _, q := range points {
				c.dot(p.x.place(q.x), p.y.place(q.y), f.class)
			}
		}
	}
	x := 86.0
	for _, f := range families() {
		c.rect(x, 76, 12, 12, f.class)
		c.text(x+18, 87, "start", "tick", f.name)
		x += 36 + 6.6*float64(len(f.name))
	}
	return c.done()
}
