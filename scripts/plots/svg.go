package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// The classes of what is drawn. Colours can be told apart by the colour-blind, and all
// of them on white, which the figures bring with them.
const style = `
text { font-family: system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; font-size: 13px; fill: #2d3748 }
.title { font-size: 18px; font-weight: 600; fill: #1a202c }
.sub { font-size: 13px; fill: #4a5568 }
.tick { font-size: 12px; fill: #4a5568 }
.grid { stroke: #e2e8f0; stroke-width: 1 }
.axis { stroke: #718096; stroke-width: 1 }
.dash { stroke: #718096; stroke-width: 1.5; stroke-dasharray: 5 4 }
.band { fill: #2b6cb0; fill-opacity: .10 }
.mark { stroke: #1a202c; stroke-width: 1.5 }
.line { fill: none; stroke-width: 2.5; stroke-linejoin: round; stroke-linecap: round }
.a { stroke: #2b6cb0; fill: #2b6cb0 } .b { stroke: #dd6b20; fill: #dd6b20 }
.c { stroke: #805ad5; fill: #805ad5 } .d { stroke: #718096; fill: #718096 }
.line.a, .line.b, .line.c, .line.d { fill: none }
rect.a, rect.b, rect.c, rect.d { stroke: none }
text.a, text.b, text.c, text.d { stroke: none; font-weight: 600 }
.thin { stroke-width: 1.5; stroke-opacity: .8 }
`

// canvas is a figure.
type canvas struct {
	strings.Builder
	width, height float64
}

func newCanvas(width, height float64, title, sub string) *canvas {
	c := &canvas{width: width, height: height}
	fmt.Fprintf(c, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %s %s" width="%s" height="%s" role="img">`+"\n",
		n(width), n(height), n(width), n(height))
	fmt.Fprintf(c, "<title>%s</title>\n<style>%s</style>\n", escape(title), style)
	fmt.Fprintf(c, `<rect width="%s" height="%s" rx="8" fill="#fff" stroke="#e2e8f0"/>`+"\n", n(width), n(height))
	c.text(24, 34, "start", "title", title)
	c.text(24, 55, "start", "sub", sub)
	return c
}

func (c *canvas) done() string { return c.String() + "</svg>\n" }

// n is a number as short as it is seen.
func n(x float64) string {
	s := strconv.FormatFloat(x, 'f', 1, 64)
	return strings.TrimSuffix(s, ".0")
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

func (c *canvas) text(x, y float64, anchor, class, s string) {
	fmt.Fprintf(c, `<text x="%s" y="%s" text-anchor="%s" class="%s">%s</text>`+"\n", n(x), n(y), anchor, class, escape(s))
}

// upright is text that reads upwards, in the middle of a span.
func (c *canvas) upright(x, y float64, s string) {
	fmt.Fprintf(c, `<text transform="translate(%s %s) rotate(-90)" text-anchor="middle" class="tick">%s</text>`+"\n", n(x), n(y), escape(s))
}

func (c *canvas) line(x1, y1, x2, y2 float64, class string) {
	fmt.Fprintf(c, `<line x1="%s" y1="%s" x2="%s" y2="%s" class="%s"/>`+"\n", n(x1), n(y1), n(x2), n(y2), class)
}

func (c *canvas) rect(x, y, w, h float64, class string) {
	fmt.Fprintf(c, `<rect x="%s" y="%s" width="%s" height="%s" class="%s"/>`+"\n", n(x), n(y), n(w), n(h), class)
}

func (c *canvas) dot(x, y float64, class string) {
	fmt.Fprintf(c, `<circle cx="%s" cy="%s" r="4" class="%s"/>`+"\n", n(x), n(y), class)
}

// scale places values between two ends.
type scale struct {
	from, to float64 // values
	at, end  float64 // places
	log      bool
}

func (s scale) place(v float64) float64 {
	if s.log {
		return s.at + (s.end-s.at)*math.Log(v/s.from)/math.Log(s.to/s.from)
	}
	return s.at + (s.end-s.at)*(v-s.from)/(s.to-s.from)
}

// panel is a pair of scales with a frame.
type panel struct {
	*canvas
	x, y scale
}

// tick is a value on an axis, and what to call it.
type tick struct {
	value float64
	name  string
}

func ticks(values ...float64) (all []tick) {
	for _, v := range values {
		all = append(all, tick{v, strconv.FormatFloat(v, 'f', -1, 64)})
	}
	return all
}

// axes draws both axes, a grid and what is measured.
func (p panel) axes(xs, ys []tick, xName, yName string) {
	for _, t := range ys {
		y := p.y.place(t.value)
		p.line(p.x.at, y, p.x.end, y, "grid")
		p.text(p.x.at-8, y+4, "end", "tick", t.name)
	}
	for _, t := range xs {
		x := p.x.place(t.value)
		p.line(x, p.y.at, x, p.y.at+5, "axis")
		p.text(x, p.y.at+20, "middle", "tick", t.name)
	}
	p.line(p.x.at, p.y.at, p.x.end, p.y.at, "axis")
	p.text((p.x.at+p.x.end)/2, p.y.at+40, "middle", "tick", xName)
	p.upright(p.x.at-42, (p.y.at+p.y.end)/2, yName)
}

// point is a place by its values.
type point struct{ x, y float64 }

// curve joins points, which are cut off at the upper edge.
func (p panel) curve(points []point, class string) {
	var b strings.Builder
	for i, q := range points {
		verb := "L"
		if i == 0 {
			verb = "M"
		}
		fmt.Fprintf(&b, "%s%s %s", verb, n(p.x.place(q.x)), n(math.Max(p.y.place(q.y), p.y.end)))
	}
	fmt.Fprintf(p, `<path d="%s" class="line %s"/>`+"\n", b.String(), class)
}

// stairs joins points by steps.
func (p panel) stairs(points []point, class string) {
	var steps []point
	for i, q := range points {
		if i > 0 && q.y != points[i-1].y {
			steps = append(steps, point{q.x, points[i-1].y})
		}
		if i == 0 || q.y != points[i-1].y || i == len(points)-1 {
			steps = append(steps, q)
		}
	}
	p.curve(steps, class)
}

// label writes beside a point.
func (p panel) label(x, y, dx, dy float64, anchor, class, s string) {
	p.text(p.x.place(x)+dx, p.y.place(y)+dy, anchor, class, s)
}
