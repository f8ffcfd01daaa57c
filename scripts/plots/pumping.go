package main

import (
	"fmt"
	"time"

	"github.com/bulwark-go/bulwark/internal/simulate"
	"github.com/bulwark-go/bulwark/smsx/otp/guard"
)

// pumped replays a day with the guard's defaults and six hours of an attack.
func pumped(addresses int) simulate.Pumped {
	f, err := simulate.Pumping{Lasting: 6 * time.Hour, Addresses: addresses, Seed: 3}.Replay(guard.Config{DailyCap: 100_000})
	if err != nil {
		panic(err) // of constants
	}
	return f
}

// pumpingGuard shows what an attack gets by the hour, and by how many addresses it has.
func pumpingGuard() string {
	c := newCanvas(860, 450, "An SMS pumping attack, with guard's defaults",
		"50,000 codes asked for and none entered, over 6 hours, within 60,000 people's requests of the same day.")
	pools, days := []int{256, 1024, 4096, 16_384, 65_536}, map[int]simulate.Pumped{}
	for _, addresses := range pools {
		days[addresses] = pumped(addresses)
	}
	pumpingByTheHour(c, days)
	pumpingByAddresses(c, pools, days)
	return c.done()
}

func pumpingByTheHour(c *canvas, days map[int]simulate.Pumped) {
	p := panel{c, scale{from: 5, to: 13, at: 86, end: 396}, scale{to: 50_000, at: 384, end: 112}}
	p.axes(ticks(5, 6, 8, 10, 12), []tick{{0, "0"}, {10_000, "10 000"}, {20_000, "20 000"}, {30_000, "30 000"}, {40_000, "40 000"}, {50_000, "50 000"}},
		"hour of the day", "")
	c.text(241, 96, "middle", "sub", "messages paid for, so far")
	p.curve([]point{{5, 0}, {6, 0}, {12, simulate.Attacked}, {13, simulate.Attacked}}, "d")
	p.label(8.6, 21_700, -8, -6, "end", "d", "without a guard")
	for _, pool := range []struct {
		addresses int
		class     string
		networks  string
	}{{65_536, "b", "768 networks"}, {1024, "a", "12 networks"}} {
		f := days[pool.addresses]
		points, sent := []point{{5, 0}}, 0
		for at := 6 * time.Hour; at <= 13*time.Hour; at += 5 * time.Minute {
			for sent < len(f.Sent) && f.Sent[sent] <= at {
				sent++
			}
			points = append(points, point{at.Hours(), float64(sent)})
		}
		p.curve(points, pool.class)
		p.label(13, float64(f.Spent), 0, -9, "end", pool.class, fmt.Sprintf("%s: %.1f %%", pool.networks, 100*float64(f.Spent)/simulate.Attacked))
	}
}

func pumpingByAddresses(c *canvas, pools []int, days map[int]simulate.Pumped) {
	p := panel{c, scale{from: 3, to: 768, at: 516, end: 826, log: true}, scale{to: 20, at: 384, end: 112}}
	p.axes(ticks(3, 12, 48, 192, 768), []tick{{0, "0"}, {5, "5 %"}, {10, "10 %"}, {15, "15 %"}, {20, "20 %"}},
		"networks of 256 addresses that the attack has", "")
	c.text(671, 96, "middle", "sub", "what it gets, and what people pay")
	var spent, blocked []point
	for _, addresses := range pools {
		f := days[addresses]
		networks := float64(3 * addresses / 256)
		spent = append(spent, point{networks, 100 * float64(f.Spent) / simulate.Attacked})
		blocked = append(blocked, point{networks, 100 * float64(f.Blocked) / float64(f.Honest)})
	}
	for _, series := range []struct {
		points      []point
		class, name string
	}{{spent, "a", "of the attack is sent"}, {blocked, "c", "of people blocked"}} {
		p.curve(series.points, series.class)
		for _, q := range series.points {
			c.dot(p.x.place(q.x), p.y.place(q.y), series.class)
		}
		last := series.points[len(series.points)-1]
		p.label(last.x, last.y, 0, -12, "end", series.class, fmt.Sprintf("%.1f %% %s", last.y, series.name))
	}
}
