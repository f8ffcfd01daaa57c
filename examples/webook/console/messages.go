package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/bulwark-go/bulwark/failover"
	"github.com/bulwark-go/bulwark/failover/async"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/ratelimit/rules/rollout"
	"github.com/bulwark-go/bulwark/smsx/fake"
)

// Messages are the text messages as the page shows and steers them. All but Vendors
// are required.
type Messages struct {
	// Providers tells how each provider is doing, SetMode overrides it.
	Providers func() failover.Snapshot
	SetMode   func(provider string, mode failover.Mode) error
	// Switches are what happened to them.
	Switches *Switches
	// Queue is where messages wait.
	Queue Queue
	// Vendors are those of the demo, which can be made ill.
	Vendors []Vendor
}

// Queue is a queue of package async.
type Queue interface {
	Stats(ctx context.Context) (async.Stats, error)
	List(ctx context.Context, f async.Filter) ([]async.Row, error)
	Requeue(ctx context.Context, f async.Filter) (int64, error)
	Purge(ctx context.Context, f async.Filter) (int64, error)
	Pause(ctx context.Context) error
	Resume(ctx context.Context) error
}

// Vendor is a vendor that sends nothing.
type Vendor struct {
	Name string
	Fake *fake.Vendor
}

// Switches remembers the last events of a group of providers. The zero Switches are
// none. They are safe for concurrent use.
type Switches struct {
	mu   sync.Mutex
	last []switched
}

type switched struct {
	failover.Event
	At time.Time
}

// shownSwitches is how many events the page shows.
const shownSwitches = 12

// Add remembers e; it is for [failover.OnEvent].
func (s *Switches) Add(e failover.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = append(s.last, switched{e, time.Now()})
	if extra := len(s.last) - shownSwitches; extra > 0 {
		s.last = slices.Delete(s.last, 0, extra)
	}
}

// newest returns them, the last one first.
func (s *Switches) newest() []switched {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Clone(s.last)
	slices.Reverse(all)
	return all
}

// messagesView is the messages as the page shows them.
type messagesView struct {
	Providers []providerView
	Switches  []switched
	Stats     async.Stats
	Depth     []depth
	Waiting   int64
	Dead      int64
	// Problem is why the queue could not be asked.
	Problem error
	Rows    []async.Row
	// Inbox is what the demo's vendors would have sent; Demo tells that there are such.
	Inbox    []delivered
	Demo     bool
	Unlocked bool
}

type providerView struct {
	failover.CandidateSnapshot
	// Fault is that of the demo's vendor; Fake tells that there is one.
	Fault fake.Kind
	Fake  bool
}

// Good tells whether the provider gets all of its calls.
func (p providerView) Good() bool { return p.Share == 1 && p.Mode != failover.Drained }

// Out tells whether it gets none.
func (p providerView) Out() bool { return p.Share == 0 || p.Mode == failover.Drained }

type depth struct {
	State string
	Count int64
}

// delivered is a message that a vendor of the demo would have sent.
type delivered struct {
	fake.SMS
	Vendor string
}

// look asks for what the first page shows.
func (m *Messages) look(ctx context.Context) *messagesView {
	if m == nil {
		return nil
	}
	v := &messagesView{Switches: m.Switches.newest()}
	for _, c := range m.Providers().Candidates {
		p := providerView{CandidateSnapshot: c}
		if i := m.vendor(c.Name); i >= 0 {
			p.Fake, p.Fault = true, m.Vendors[i].Fake.Fault().Kind
		}
		v.Providers = append(v.Providers, p)
	}
	v.Stats, v.Problem = m.Queue.Stats(ctx)
	for _, s := range async.States() {
		v.Depth = append(v.Depth, depth{s.String(), v.Stats.Depth[s]})
	}
	v.Waiting, v.Dead = v.Stats.Backlog(), v.Stats.Depth[async.Dead]
	return v
}

// shownRows is how many messages of the queue, and of the demo's phones, a page shows.
const shownRows = 30

// lookCloser adds what only the messages' own page shows.
func (m *Messages) lookCloser(ctx context.Context, v *messagesView) {
	if v.Problem == nil {
		v.Rows, v.Problem = m.Queue.List(ctx, async.Filter{Most: shownRows, States: []async.State{
			async.Queued, async.Leased, async.Submitted, async.Unknown, async.Reconciling, async.Dead, async.Expired,
		}})
	}
	v.Demo = len(m.Vendors) > 0
	for _, vendor := range m.Vendors {
		for _, sms := range vendor.Fake.Sent() {
			v.Inbox = append(v.Inbox, delivered{sms, vendor.Name})
		}
	}
	slices.SortFunc(v.Inbox, func(a, b delivered) int { return b.At.Compare(a.At) })
	v.Inbox = v.Inbox[:min(len(v.Inbox), shownRows)]
}

func (m *Messages) vendor(name string) int {
	return slices.IndexFunc(m.Vendors, func(v Vendor) bool { return v.Name == name })
}

// messagesPage is the messages' own page.
type messagesPage struct {
	frame
	Messages *messagesView
	Faults   []fake.Kind
	Modes    []failover.Mode
	Done     string
}

// faults are the illnesses that have a button.
var faults = []fake.Kind{fake.Healthy, fake.Slow, fake.Silent, fake.Down, fake.Lying}

// slowness is how long a slow vendor of the demo takes: longer than it is waited for.
const slowness = 10 * time.Second

func (c *Console) messages(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if c.Messages == nil {
			http.NotFound(w, r)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), asking)
		defer cancel()
		p := messagesPage{
			frame: c.frame(r, "text messages"), Messages: c.Messages.look(ctx), Faults: faults,
			Modes: []failover.Mode{failover.Automatic, failover.Drained, failover.Forced}, Done: r.FormValue("done"),
		}
		c.Messages.lookCloser(ctx, p.Messages)
		p.Messages.Unlocked = p.Who != ""
		c.show(w, http.StatusOK, name, p)
	}
}

// steer changes something about the messages, for who has the token.
func (c *Console) steer(do func(ctx context.Context, m *Messages, r *http.Request) (done string, err error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if c.Messages == nil {
			http.NotFound(w, r)
			return
		}
		who, err := c.access.who(r)
		if err != nil {
			c.refuse(w, r, problemOf(err, rollout.Revision{}))
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), saving)
		defer cancel()
		done, err := do(ctx, c.Messages, r)
		if err != nil {
			c.refuse(w, r, problemOf(err, rollout.Revision{}))
			return
		}
		c.log.Info("console: "+done, logger.String("who", who))
		if wantsJSON(r) {
			writeJSON(w, http.StatusOK, map[string]string{"done": done})
			return
		}
		http.Redirect(w, r, "/console/messages?done="+url.QueryEscape(done), http.StatusSeeOther)
	}
}

var errUnknownChoice = errors.New("there is no such choice")

// setFault makes a vendor of the demo ill, or well.
func setFault(_ context.Context, m *Messages, r *http.Request) (string, error) {
	i := m.vendor(r.FormValue("vendor"))
	var kind fake.Kind
	if i < 0 || kind.UnmarshalText([]byte(r.FormValue("fault"))) != nil || !slices.Contains(faults, kind) {
		return "", errUnknownChoice
	}
	f := fake.Fault{Kind: kind}
	if kind == fake.Slow {
		f.Delay = slowness
	}
	return m.Vendors[i].Name + " is " + kind.String(), m.Vendors[i].Fake.Set(f)
}

// setMode overrides the judge of a provider.
func setMode(_ context.Context, m *Messages, r *http.Request) (string, error) {
	for _, mode := range []failover.Mode{failover.Automatic, failover.Drained, failover.Forced} {
		if mode.String() == r.FormValue("mode") {
			return r.FormValue("provider") + " is " + mode.String(), m.SetMode(r.FormValue("provider"), mode)
		}
	}
	return "", errUnknownChoice
}

// steerQueue pauses and resumes, and deals with messages that were given up.
func steerQueue(ctx context.Context, m *Messages, r *http.Request) (string, error) {
	f := async.Filter{Keys: r.Form["key"], Most: 1000}
	if len(f.Keys) == 1 && f.Keys[0] == "" {
		f.Keys = nil
	}
	switch r.FormValue("do") {
	case "pause":
		return "deliveries are paused", m.Queue.Pause(ctx)
	case "resume":
		return "deliveries go on", m.Queue.Resume(ctx)
	case "requeue":
		f.States = []async.State{async.Dead, async.Unknown}
		n, err := m.Queue.Requeue(ctx, f)
		return fmt.Sprintf("%d to be tried again", n), err
	case "purge":
		f.States = []async.State{async.Dead, async.Expired}
		n, err := m.Queue.Purge(ctx, f)
		return fmt.Sprintf("%d thrown away", n), err
	default:
		return "", errUnknownChoice
	}
}
