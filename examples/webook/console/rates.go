package console

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/bulwark-go/bulwark/observe"
)

// routesMax bounds the memory; what comes later is counted as otherRoutes.
const (
	routesMax   = 200
	otherRoutes = "other"
)

// Rates is an [observe.Observer] that keeps the requests of the last minute by
// route, for people to look at; /metrics has the long story. It is safe for
// concurrent use.
type Rates struct {
	mu     sync.Mutex
	routes map[string]*window[Traffic]
	total  window[Traffic]
}

// NewRates returns a Rates that has seen nothing.
func NewRates() *Rates { return &Rates{routes: map[string]*window[Traffic]{}} }

// Traffic sums requests.
type Traffic struct {
	Requests, ClientErrors, ServerErrors int64
	Busy, Slowest                        time.Duration
}

// Mean is the mean duration; 0 without requests.
func (t Traffic) Mean() time.Duration {
	return t.Busy / time.Duration(max(t.Requests, 1))
}

// PerSecond is the mean rate over the last minute.
func (t Traffic) PerSecond() float64 { return float64(t.Requests) / windowSeconds }

// Start implements [observe.Observer]. Kinds other than a server's requests are
// ignored.
func (r *Rates) Start(ctx context.Context, op observe.Operation) (context.Context, observe.End) {
	if op.Kind.Role != observe.Server || op.Kind.Form != observe.Timed {
		return ctx, func(observe.Result) {}
	}
	begin := time.Now()
	return ctx, func(res observe.Result) { r.add(routeOf(op, res), blame(op, res), time.Now(), time.Since(begin)) }
}

func (r *Rates) add(route string, whose byte, now time.Time, took time.Duration) {
	one := Traffic{Requests: 1, Busy: took, Slowest: took}
	switch whose {
	case '4':
		one.ClientErrors = 1
	case '5':
		one.ServerErrors = 1
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.routes[route]
	if w == nil {
		if len(r.routes) >= routesMax {
			route = otherRoutes
		}
		if w = r.routes[route]; w == nil {
			w = &window[Traffic]{}
			r.routes[route] = w
		}
	}
	w.add(now.Unix(), one)
	r.total.add(now.Unix(), one)
}

func (t Traffic) plus(u Traffic) Traffic {
	return Traffic{
		Requests: t.Requests + u.Requests, ClientErrors: t.ClientErrors + u.ClientErrors,
		ServerErrors: t.ServerErrors + u.ServerErrors, Busy: t.Busy + u.Busy, Slowest: max(t.Slowest, u.Slowest),
	}
}

// RouteTraffic is a route with its last minute.
type RouteTraffic struct {
	Route string
	Traffic
}

// Routes returns the routes that had requests in the last minute, busiest first.
func (r *Rates) Routes(now time.Time) []RouteTraffic {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []RouteTraffic
	for route, w := range r.routes {
		if t := w.sum(now.Unix()); t.Requests > 0 {
			list = append(list, RouteTraffic{Route: route, Traffic: t})
		}
	}
	slices.SortFunc(list, func(a, b RouteTraffic) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Route, b.Route))
	})
	return list
}

// Seconds returns the requests in each of the last 60 full seconds, oldest first,
// and the last minute's sum.
func (r *Rates) Seconds(now time.Time) (perSecond [windowSeconds]int64, sum Traffic) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := now.Unix() - 1
	for i := range perSecond {
		second := last - windowSeconds + 1 + int64(i)
		if s := r.total[second%slots]; s.second == second {
			perSecond[i] = s.count.Requests
		}
	}
	return perSecond, r.total.sum(now.Unix())
}
