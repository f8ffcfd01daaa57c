// Package fake has SMS vendors that send nothing: HTTP servers that speak the
// protocols of Alibaba Cloud and Tencent Cloud, check signatures and batch limits,
// and fall ill when told to. Tests and demos put them where the vendor would be:
//
//	vendor := fake.NewTencent(fake.Config{KeyID: "id", Secret: "secret"})
//	server := httptest.NewServer(vendor) // its URL is the adapter's Endpoint
//	vendor.Set(fake.Fault{Kind: fake.Slow, Delay: 2 * time.Second})
//
// They are written from the vendors' public documentation and share no code with the
// adapters, so that one misreading has to be made twice.
package fake

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Config holds the settings of a vendor. The zero Config takes any key.
type Config struct {
	// KeyID and Secret are those of the one account; an empty Secret takes any
	// signature.
	KeyID, Secret string
	// Gap is the least time between two messages to a number; 0 is none. The vendors
	// have 30 s and more.
	Gap time.Duration
}

// SMS is a message to one number that the vendor has sent.
type SMS struct {
	// Number is the receiver, in E.164.
	Number string
	// Template and Sign are as they were asked for.
	Template, Sign string
	// Params are the values of the template: by the names they came with, or in
	// Tencent's case their places, counted from 1.
	Params map[string]string
	// Ref is the sender's own reference.
	Ref string
	// MessageID is the vendor's.
	MessageID string
	// At is when it was taken.
	At time.Time
}

// Vendor is one vendor: an [http.Handler]. Make it with [NewAliyun] or
// [NewTencent]. It is safe for concurrent use. It remembers every message it sends:
// call Reset now and then where it runs for long.
type Vendor struct {
	cfg      Config
	protocol protocol

	mu       sync.Mutex
	fault    Fault
	blocked  map[string]string
	last     map[string]time.Time
	sent     []SMS
	requests int
}

// protocol is how a vendor speaks.
type protocol struct {
	// read returns the request, or the code of the refusal of all of it.
	read func(Config, *http.Request, []byte) (request, string)
	// refuse answers with a code for the request as a whole.
	refuse func(w http.ResponseWriter, code string)
	// answer says what became of each number.
	answer func(w http.ResponseWriter, q request, results []result)
	// query answers a request that sends nothing, and tells whether it was one; nil
	// where the vendor has none.
	query func(v *Vendor, w http.ResponseWriter, r *http.Request, body []byte) bool
	// ok, tooSoon and down are the vendor's codes.
	ok, tooSoon, down string
	// uniform vendors have one status for all numbers of a request.
	uniform bool
}

type request struct {
	numbers             []string // E.164
	template, sign, ref string
	params              map[string]string
}

type result struct{ code, id string }

func newVendor(cfg Config, p protocol) *Vendor {
	return &Vendor{cfg: cfg, protocol: p, blocked: map[string]string{}, last: map[string]time.Time{}}
}

// Sent returns the messages that were sent, oldest first.
func (v *Vendor) Sent() []SMS {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.sent)
}

// Count returns how many messages a number, in E.164, was sent.
func (v *Vendor) Count(number string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := 0
	for _, s := range v.sent {
		if s.Number == number {
			n++
		}
	}
	return n
}

// Requests returns how many requests came in, refused ones included.
func (v *Vendor) Requests() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.requests
}

// Block refuses a number, in E.164, with a code of the vendor's; an empty code takes
// it again. A vendor that has one status for a whole request refuses all of it.
func (v *Vendor) Block(number, code string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if code == "" {
		delete(v.blocked, number)
		return
	}
	v.blocked[number] = code
}

// Reset forgets what was sent and counted. The fault and blocked numbers stay.
func (v *Vendor) Reset() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.sent, v.requests, v.last = nil, 0, map[string]time.Time{}
}

// ServeHTTP implements [http.Handler].
func (v *Vendor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		http.Error(w, "too much", http.StatusRequestEntityTooLarge)
		return
	}
	if v.protocol.query != nil && v.protocol.query(v, w, r, body) {
		return
	}
	fault := v.strike()
	q, code := v.protocol.read(v.cfg, r, body)
	switch {
	case code != "":
		v.protocol.refuse(w, code)
	case fault.Kind == Down:
		v.protocol.refuse(w, v.protocol.down)
	case fault.Kind == Refusing:
		v.protocol.refuse(w, fault.Code)
	default:
		fault.finish(w, r, func(w http.ResponseWriter, results []result) { v.protocol.answer(w, q, results) }, v.take(q, fault.Kind != Lying))
	}
}

// strike counts a request and tells the fault that it meets.
func (v *Vendor) strike() Fault {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.requests++
	if v.fault.Share > 0 && rand.Float64() >= v.fault.Share {
		return Fault{}
	}
	return v.fault
}

// take decides about each number and sends what it accepts, or only says so.
func (v *Vendor) take(q request, really bool) []result {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := time.Now()
	results := make([]result, len(q.numbers))
	for i, n := range q.numbers {
		results[i].code = v.decide(n, now)
	}
	if v.protocol.uniform {
		if bad := slices.IndexFunc(results, func(r result) bool { return r.code != v.protocol.ok }); bad >= 0 {
			for i := range results {
				results[i].code = results[bad].code
			}
		}
	}
	batch := strconv.FormatInt(now.UnixNano(), 10)
	for i, n := range q.numbers {
		if results[i].code != v.protocol.ok {
			continue
		}
		results[i].id = batch
		if !v.protocol.uniform {
			results[i].id = fmt.Sprintf("%s:%d", batch, i)
		}
		if really {
			v.last[n] = now
			v.sent = append(v.sent, SMS{
				Number: n, Template: q.template, Sign: q.sign, Params: q.params, Ref: q.ref, MessageID: results[i].id, At: now,
			})
		}
	}
	return results
}

// decide returns the code for a number. The lock is held.
func (v *Vendor) decide(n string, now time.Time) string {
	if code, ok := v.blocked[n]; ok {
		return code
	}
	if last, ok := v.last[n]; ok && now.Sub(last) < v.cfg.Gap {
		return v.protocol.tooSoon
	}
	return v.protocol.ok
}
