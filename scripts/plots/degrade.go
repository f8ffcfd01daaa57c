package main

import (
	"fmt"
	"time"

	"github.com/bulwark-go/bulwark/failover/degrade"
	"github.com/bulwark-go/bulwark/internal/simulate"
)

// degradeStep shows how a Dimmer answers steps of the offered load.
func degradeStep() string {
	const jump, before, after, seeds = 10 * time.Second, 5, 30, 20
	c := newCanvas(860, 440, "A step in the offered load, answered by a Dimmer",
		"The queue of a simulated service, mean of 20 runs. A period is 100 ms; load 1 is half a second's work waiting.")
	p := panel{c, scale{from: -before, to: after, at: 80, end: 830}, scale{from: 0, to: 1.2, at: 370, end: 90}}
	p.rect(p.x.at, p.y.place(0.6), p.x.end-p.x.at, p.y.place(0.4)-p.y.place(0.6), "band")
	p.axes(ticks(-5, 0, 5, 10, 15, 20, 25, 30), ticks(0, 0.25, 0.5, 0.75, 1), "periods since the step", "load")
	p.line(p.x.at, p.y.place(0.5), p.x.end, p.y.place(0.5), "dash")
	p.label(after, 0.62, 0, -4, "end", "tick", "target, and 20 % about it")
	for _, s := range []struct {
		to    float64
		class string
		at    point
	}{{2, "a", point{1.2, 0.2}}, {5, "b", point{2.6, 0.9}}} {
		sums := make([]float64, before+after+1)
		for seed := range uint64(seeds) {
			slices := simulate.Dimmed(simulate.Step(0.5, s.to, jump), seed).Run(jump + 4*time.Second)
			first := int(jump/(100*time.Millisecond)) - before - 1 // a slice is over one period after its time
			for i := range sums {
				sums[i] += simulate.Load(slices[first+i]) / seeds
			}
		}
		var points []point
		for i, load := range sums {
			points = append(points, point{float64(i - before), load})
		}
		p.curve(points, s.class)
		p.label(s.at.x, s.at.y, 6, 0, "start", s.class, fmt.Sprintf("from 0.5 to %g times the capacity", s.to))
	}
	p.line(p.x.place(0), p.y.at, p.x.place(0), p.y.end, "dash")
	return c.done()
}

// degradeLevels shows Levels under a square wave, beside a bare threshold.
func degradeLevels() string {
	const length, wave = 300, 7 // seconds
	now := time.Unix(0, 0)
	load := 0.0
	levels, err := degrade.NewLevels(degrade.Config{Name: "simulated"},
		degrade.WithSignal("load", func() (float64, bool) { return load, true }),
		degrade.WithClock(func() time.Time { return now }))
	if err != nil {
		panic(fmt.Sprint("plots: ", err)) // of constants
	}
	var loads, real, bare []point
	changes, flaps := 0, 0
	for second := range length {
		load = 0.3
		if second < 210 && second/wave%2 == 0 {
			load = 1.1
		}
		was := levels.Level()
		levels.Measure()
		if levels.Level() != was {
			changes++
		}
		naive := 0.0
		for _, enter := range []float64{0.8, 0.9, 1} {
			if load >= enter {
				naive++
			}
		}
		if second > 0 && bare[second-1].y != naive {
			flaps++
		}
		at := float64(second)
		loads, real, bare = append(loads, point{at, load}), append(real, point{at, float64(levels.Level())}), append(bare, point{at, naive})
		now = now.Add(time.Second)
	}
	c := newCanvas(860, 470, "A load that comes and goes does not make the level flap",
		"A square wave of 14 s until 210 s. Levels change at most once in a dwell of 30 s, and are left only after a dwell of low load.")
	top := panel{c, scale{from: 0, to: length, at: 80, end: 830}, scale{from: 0, to: 1.2, at: 180, end: 84}}
	top.axes(nil, ticks(0, 0.5, 1), "", "load")
	top.stairs(loads, "d thin")
	p := panel{c, top.x, scale{from: 0, to: 3.2, at: 402, end: 222}}
	p.axes(ticks(0, 30, 60, 90, 120, 150, 180, 210, 240, 270, 300), ticks(0, 1, 2, 3), "seconds", "level")
	p.stairs(bare, "b thin")
	p.stairs(real, "a")
	p.label(208, 0.62, 0, 0, "start", "b", fmt.Sprintf("bare thresholds: %d changes", flaps))
	p.label(208, 0.62, 0, 18, "start", "a", fmt.Sprintf("degrade.Levels: %d changes", changes))
	return c.done()
}

// degradeGoodput shows what overload costs, with and without a Dimmer.
func degradeGoodput() string {
	const warm, length = 5 * time.Second, 20 * time.Second
	c := newCanvas(860, 460, "What a service does for those who still wait",
		"Callers give up after 1 s and try twice again; 35 % of the calls are critical. Shares of 15 simulated seconds.")
	p := panel{c, scale{from: 0, to: 5, at: 80, end: 830}, scale{from: 0, to: 1.1, at: 386, end: 90}}
	p.axes(ticks(0, 1, 2, 3, 4, 5), []tick{{0, "0"}, {0.25, "25 %"}, {0.5, "50 %"}, {0.75, "75 %"}, {1, "100 %"}},
		"calls offered, as a multiple of the capacity", "share")
	var with, without, critical []point
	for _, times := range []float64{0.25, 0.5, 0.75, 0.9, 1, 1.1, 1.25, 1.5, 2, 2.5, 3, 4, 5} {
		offered := simulate.Step(0.5, times, warm)
		skip := int(warm / (100 * time.Millisecond))
		capacity := simulate.Capacity * (length - warm).Seconds()
		dimmed := simulate.Sum(simulate.Dimmed(offered, 3).Run(length)[skip:])
		bare := simulate.Sum(simulate.Uncontrolled(offered, 3).Run(length)[skip:])
		with = append(with, point{times, float64(dimmed.Done) / capacity})
		without = append(without, point{times, float64(bare.Done) / capacity})
		critical = append(critical, point{times, dimmed.Critical()})
	}
	p.curve(without, "b")
	p.curve(critical, "c thin")
	p.curve(with, "a")
	p.label(2.05, 1, 0, -12, "start", "a", "goodput with a Dimmer, of the capacity")
	p.label(4.98, 0.88, 0, 0, "end", "c", "critical calls that succeed with it")
	p.label(1.45, 0.2, 6, -6, "start", "b", "goodput without")
	return c.done()
}
