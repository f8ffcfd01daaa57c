// Package console is the page an operator opens first: what runs, since when, on
// what, how busy, what the limits and breakers do, and what went wrong last. It is
// rendered on the server; a few lines of script refresh it.
//
// Rules of limits can be changed on it by who has the token: against the revision
// they saw, reviewed before it is saved, for good or for a time. Everybody else only
// reads. It keeps nothing and starts nothing: what it shows is asked for when
// somebody looks.
package console

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"time"

	"github.com/bulwark-go/bulwark/examples/webook/internal/health"
	"github.com/bulwark-go/bulwark/logger"
)

//go:embed *.html style.css live.js
var files embed.FS

// policy lets the page load its own style and script, send its own forms to itself,
// and nothing else.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; " +
	"img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// Sources are where the page looks. All but Sets, Consumers and Messages are required.
type Sources struct {
	Build     Build
	Health    *health.Monitor
	Rates     *Rates
	Recent    *Recent
	Breakers  *Breakers
	Sets      []Set
	Consumers []Consumer
	// Messages are nil where there are no text messages.
	Messages *Messages
}

// Console is the page as an http.Handler, to be mounted at /console and below. It
// is safe for concurrent use.
type Console struct {
	Sources
	started time.Time
	log     logger.Logger
	access  *access
	pages   *template.Template
	handler http.Handler
}

// New returns the page over what was seen. Who knows the token may change rules;
// with an empty one nobody may.
func New(s Sources, token logger.Secret, log logger.Logger) (*Console, error) {
	pages, err := template.New("console").Funcs(functions).ParseFS(files, "*.html")
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	access, err := newAccess(token)
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	c := &Console{Sources: s, started: time.Now(), log: log, access: access, pages: pages}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /console", c.main("main"))
	mux.HandleFunc("GET /console/live", c.main("main.live"))
	mux.HandleFunc("GET /console/rules/{set}", c.ofSet(c.set("set")))
	mux.HandleFunc("GET /console/rules/{set}/live", c.ofSet(c.set("set.live")))
	mux.HandleFunc("GET /console/rules/{set}/edit", c.ofSet(c.edit))
	mux.HandleFunc("POST /console/rules/{set}/edit", c.ofSet(c.change))
	mux.HandleFunc("POST /console/rules/{set}/rollback", c.ofSet(c.rollback))
	mux.HandleFunc("GET /console/messages", c.messages("messages"))
	mux.HandleFunc("GET /console/messages/live", c.messages("messages.live"))
	mux.HandleFunc("POST /console/messages/fault", c.steer(setFault))
	mux.HandleFunc("POST /console/messages/mode", c.steer(setMode))
	mux.HandleFunc("POST /console/messages/queue", c.steer(steerQueue))
	mux.HandleFunc("POST /console/consumers", c.steerConsumer)
	mux.HandleFunc("GET /console/unlock", c.askToken)
	mux.HandleFunc("POST /console/unlock", c.unlock)
	mux.HandleFunc("POST /console/lock", c.lock)
	mux.HandleFunc("GET /console/{file}", c.file)
	// A form on another site could send the operator's cookie along.
	own := http.NewCrossOriginProtection()
	own.SetDenyHandler(http.HandlerFunc(c.foreign))
	c.handler = own.Handler(mux)
	return c, nil
}

// ServeHTTP implements [http.Handler].
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin") // a form without any would have the origin "null"
	h.Set("Cache-Control", "no-store")
	if r.Method == http.MethodPost {
		r.Body = http.MaxBytesReader(w, r.Body, formMax)
		if err := r.ParseForm(); err != nil {
			c.refuse(w, r, unreadable(err))
			return
		}
	}
	c.handler.ServeHTTP(w, r)
}

func unreadable(err error) *Refusal {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return &Refusal{Code: "invalid", Text: fmt.Sprintf("a form has at most %d bytes", large.Limit), status: http.StatusRequestEntityTooLarge}
	}
	return &Refusal{Code: "invalid", Text: "the form can not be read", status: http.StatusBadRequest}
}

func (c *Console) foreign(w http.ResponseWriter, r *http.Request) {
	c.refuse(w, r, &Refusal{Code: "cross-site", Text: "the request comes from another site", status: http.StatusForbidden})
}

// frame is what surrounds every page.
type frame struct {
	Title   string
	Build   Build
	Now     time.Time
	Started time.Time
	// Who may change things, empty while the visitor only reads; Token tells
	// whether there is a token with which that could be changed.
	Who   string
	Token bool
	// Live pages show what is now, so a browser without script loads them again.
	Live bool
}

func (c *Console) frame(r *http.Request, title string) frame {
	who, _ := c.access.visitor(r) // empty for those who only read
	return frame{Title: title, Build: c.Build, Now: time.Now(), Started: c.started, Who: who, Token: c.access.possible()}
}

func (c *Console) show(w http.ResponseWriter, status int, name string, page any) {
	// Rendered aside, so that a failure is an error and not half a page.
	var b bytes.Buffer
	if err := c.pages.ExecuteTemplate(&b, name, page); err != nil {
		http.Error(w, "the page could not be rendered", http.StatusInternalServerError)
		c.log.Error("console page", logger.String("page", name), logger.Err(err))
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // fails only when the reader left
}

func (c *Console) main(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), asking)
		defer cancel()
		f := c.frame(r, "")
		f.Live = true
		c.show(w, http.StatusOK, name, c.look(ctx, f))
	}
}

// setPage is a set of rules with its history.
type setPage struct {
	frame
	Set   setView
	Saved string
}

func (c *Console) set(name string) func(http.ResponseWriter, *http.Request, Set) {
	return func(w http.ResponseWriter, r *http.Request, s Set) {
		ctx, cancel := context.WithTimeout(r.Context(), asking)
		defer cancel()
		p := setPage{frame: c.frame(r, s.Name), Saved: r.FormValue("saved")}
		p.Live = true
		p.Set = s.look(ctx, p.Now)
		p.Set.lookBack(ctx, s.Follower)
		p.Set.Unlocked = p.Who != ""
		if wantsJSON(r) {
			writeJSON(w, http.StatusOK, textOfRevision(p.Set.Latest))
			return
		}
		c.show(w, http.StatusOK, name, p)
	}
}

func (c *Console) ofSet(next func(http.ResponseWriter, *http.Request, Set)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		i := slices.IndexFunc(c.Sets, func(s Set) bool { return s.Name == r.PathValue("set") })
		if i < 0 {
			http.NotFound(w, r)
			return
		}
		next(w, r, c.Sets[i])
	}
}

func (c *Console) file(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	if name != "style.css" && name != "live.js" {
		http.NotFound(w, r)
		return
	}
	http.ServeFileFS(w, r, files, name)
}
