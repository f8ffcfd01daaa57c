// Package fakewechat is a WeChat for demos and tests: a page on which a visitor
// agrees, and the call that trades the code for an openid. It keeps to what the
// real one documents: codes work once and for a short time, failures answer 200
// with an errcode.
package fakewechat

import (
	"crypto/rand"
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"sync"
	"time"
)

const (
	codeTTL  = 5 * time.Minute
	maxCodes = 1000 // a demo that runs for weeks must not grow
)

// Server is the fake as an http.Handler. It is safe for concurrent use.
type Server struct {
	appID, secret string
	mux           *http.ServeMux

	mu     sync.Mutex
	codes  map[string]grant
	broken bool
}

type grant struct {
	openID string
	until  time.Time
}

// New returns a WeChat that knows one app.
func New(appID, secret string) *Server {
	s := &Server{appID: appID, secret: secret, codes: map[string]grant{}, mux: http.NewServeMux()}
	s.mux.HandleFunc("GET /connect/qrconnect", s.agree)
	s.mux.HandleFunc("GET /sns/oauth2/access_token", s.exchange)
	return s
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Break makes the exchange answer no JSON, until it is called with false.
func (s *Server) Break(broken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = broken
}

// Grant makes a code as if the visitor with the openid had agreed.
func (s *Server) Grant(openID string) (code string) {
	code = rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for old, g := range s.codes {
		if now.After(g.until) || len(s.codes) >= maxCodes {
			delete(s.codes, old)
		}
	}
	s.codes[code] = grant{openID, now.Add(codeTTL)}
	return code
}

var page = template.Must(template.New("agree").Parse(`<!doctype html>
<meta charset="utf-8"><title>A WeChat for the demo</title>
<h1>A WeChat for the demo</h1>
<p>The real one shows a QR code here.</p>
<ul>{{range .}}<li><a href="{{.URL}}">log in as {{.Name}}</a></li>{{end}}</ul>
`))

// agree shows who one can be. Each link sends the visitor back with a code.
func (s *Server) agree(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	back, err := url.Parse(query.Get("redirect_uri"))
	if err != nil || back.Host == "" || back.Scheme != "http" && back.Scheme != "https" || query.Get("appid") != s.appID ||
		query.Get("response_type") != "code" || query.Get("scope") != "snsapi_login" {
		http.Error(w, "bad appid, redirect_uri, response_type or scope", http.StatusBadRequest)
		return
	}
	type link struct{ Name, URL string }
	var links []link
	for _, name := range []string{"Ann", "Bo"} {
		to := *back
		q := to.Query()
		q.Set("code", s.Grant("fake-openid-"+name))
		q.Set("state", query.Get("state"))
		to.RawQuery = q.Encode()
		links = append(links, link{name, to.String()})
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = page.Execute(w, links) // fails only when the visitor left
}

func (s *Server) exchange(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken {
		_, _ = w.Write([]byte("<html>502</html>"))
		return
	}
	code := query.Get("code")
	g, known := s.codes[code]
	delete(s.codes, code)
	switch {
	case query.Get("appid") != s.appID:
		refuse(w, 40013, "invalid appid")
	case query.Get("secret") != s.secret:
		refuse(w, 40125, "invalid appsecret")
	case query.Get("grant_type") != "authorization_code":
		refuse(w, 40002, "invalid grant_type")
	case !known || time.Now().After(g.until):
		refuse(w, 40029, "invalid code")
	default:
		reply(w, map[string]any{
			"access_token": rand.Text(), "expires_in": 7200, "refresh_token": rand.Text(),
			"openid": g.openID, "scope": "snsapi_login", "unionid": "union-of-" + g.openID,
		})
	}
}

func refuse(w http.ResponseWriter, code int, msg string) {
	reply(w, map[string]any{"errcode": code, "errmsg": msg})
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "text/plain") // as the real one does
	_ = json.NewEncoder(w).Encode(v)             // fails only when the caller left
}
