// Package console is the page an operator opens first: what runs, since when, on
// what, how busy, and what went wrong last. It is rendered on the server and only
// reads; a few lines of script refresh it.
package console

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"time"

	"github.com/bulwark-go/bulwark/examples/webook/internal/health"
)

//go:embed page.html style.css live.js
var files embed.FS

// policy lets the page load its own style and script, and nothing else.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; " +
	"img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Console is the page as an http.Handler, to be mounted at /console and below. It
// is safe for concurrent use.
type Console struct {
	build   Build
	started time.Time
	health  *health.Monitor
	rates   *Rates
	recent  *Recent
	page    *template.Template
	mux     *http.ServeMux
}

// New returns the page over what was seen of components, requests and errors.
func New(build Build, monitor *health.Monitor, rates *Rates, recent *Recent) (*Console, error) {
	page, err := template.New("page.html").Funcs(template.FuncMap{
		"ago": ago, "took": took, "clock": clock, "rate": rate, "share": share, "why": why,
	}).ParseFS(files, "page.html")
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	c := &Console{
		build: build, started: time.Now(), health: monitor, rates: rates, recent: recent,
		page: page, mux: http.NewServeMux(),
	}
	c.mux.HandleFunc("GET /console", c.render("page.html"))
	c.mux.HandleFunc("GET /console/live", c.render("live"))
	c.mux.HandleFunc("GET /console/{file}", c.file)
	return c, nil
}

// ServeHTTP implements [http.Handler].
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	c.mux.ServeHTTP(w, r)
}

func (c *Console) render(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		// Rendered aside, so that a failure is an error and not half a page.
		var b bytes.Buffer
		if err := c.page.ExecuteTemplate(&b, name, c.look(time.Now())); err != nil {
			http.Error(w, "the page could not be rendered", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(b.Bytes()) // fails only when the reader left
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
