package ioc

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/bulwark-go/bulwark/examples/webook/internal/health"
)

// Probes answers what an orchestrator asks.
type Probes struct {
	monitor *health.Monitor
	leaving atomic.Bool
}

// NewProbes returns Probes over what monitor sees.
func NewProbes(monitor *health.Monitor) *Probes { return &Probes{monitor: monitor} }

// Leave makes the app unready for good, so that no new requests are sent to it.
func (p *Probes) Leave() { p.leaving.Store(true) }

// Alive answers 200 as long as the process can answer at all: a restart would not
// mend a database.
func (p *Probes) Alive(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, "alive\n")
}

// Ready answers 200 when requests can be served, else 503 with the reason.
func (p *Probes) Ready(w http.ResponseWriter, _ *http.Request) {
	why := ""
	if down := p.monitor.Ready(); len(down) > 0 {
		why = "down: " + strings.Join(down, ", ")
	}
	if p.leaving.Load() {
		why = "shutting down"
	}
	if why != "" {
		http.Error(w, why, http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, "ready\n")
}
