package console_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
	"github.com/bulwark-go/bulwark/examples/webook/console"
	"github.com/bulwark-go/bulwark/examples/webook/internal/health"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/logger/loggertest"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/rules"
	"github.com/bulwark-go/bulwark/ratelimit/rules/dryrun"
	"github.com/bulwark-go/bulwark/ratelimit/rules/rollout"
)

const token = "the-token-of-the-tests"

// fixture is a page over one set of rules, in memory.
type fixture struct {
	*console.Console
	t        testing.TB
	set      *rules.Set
	follower *rollout.Follower
	store    *rollout.Memory
	tally    *console.Tally
	breakers *console.Breakers
	recorder *dryrun.Recorder
	log      *loggertest.Recorder
}

func newFixture(t testing.TB, token string) *fixture {
	t.Helper()
	f := &fixture{t: t, tally: console.NewTally(), breakers: &console.Breakers{}, log: loggertest.New(t)}
	var err error
	f.recorder, err = dryrun.New(dryrun.Config{Calls: 1 << 12, Subjects: 1 << 10})
	require.NoError(t, err)
	f.set, err = rules.New([]rules.Rule{
		{Name: "login", Match: rules.Match{Method: "POST /login"}, Per: []rules.Field{rules.IP}, Rate: ratelimit.PerMinute(20), Burst: 10},
		{Name: "default", Per: []rules.Field{rules.User}, Rate: ratelimit.PerSecond(100), Burst: 100},
	}, rules.WithOnDecision(func(ctx context.Context, s rules.Subject, cost int64, d ratelimit.Decision, err error) {
		f.tally.Decided(ctx, s, cost, d, err)
		f.recorder.Record(s, cost)
	}), rules.WithOnShadow(f.tally.Shadowed))
	require.NoError(t, err)
	f.store, err = rollout.NewMemory(100)
	require.NoError(t, err)
	f.follower, err = rollout.New(f.set, f.store, "one:8080", rollout.Config{})
	require.NoError(t, err)
	f.Console, err = console.New(console.Sources{
		Health: health.New(logger.Logger{}), Rates: console.NewRates(), Recent: &console.Recent{}, Breakers: f.breakers,
		Sets: []console.Set{{Name: "api", Title: "of the API", Follower: f.follower, Tally: f.tally, DryRun: f.recorder}},
	}, logger.NewSecret(token), f.log.Logger())
	require.NoError(t, err)
	return f
}

func (f *fixture) page(path string, cookies ...*http.Cookie) (int, string) {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// post sends a form as a browser does that is on the page.
func (f *fixture) post(path string, form url.Values, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w
}

// script sends a form as a script does that has the token.
func (f *fixture) script(path string, form url.Values) (int, console.Refusal) {
	f.t.Helper()
	form.Set("author", "kim")
	w := f.post(path, form, func(r *http.Request) {
		r.Header.Del("Sec-Fetch-Site")
		r.Header.Set("Accept", "application/json")
		r.Header.Set("Authorization", "Bearer "+token)
	})
	var refusal console.Refusal
	require.NoError(f.t, json.Unmarshal(w.Body.Bytes(), &refusal), w.Body.String())
	return w.Code, refusal
}

// unlock returns the cookie of a session.
func (f *fixture) unlock() *http.Cookie {
	f.t.Helper()
	w := f.post("/console/unlock", url.Values{"token": {token}, "name": {"kim"}}, nil)
	require.Equal(f.t, http.StatusSeeOther, w.Code, w.Body.String())
	return w.Result().Cookies()[0]
}

// latest is what the store has.
func (f *fixture) latest() rollout.Revision {
	f.t.Helper()
	r, _, err := f.store.Latest(f.t.Context())
	require.NoError(f.t, err)
	return r
}

func edit(after uint64, rule, text string) url.Values {
	return url.Values{"do": {"save"}, "after": {fmt.Sprint(after)}, "rule": {rule}, "text": {text}}
}

const tightLogin = `{"name": "login", "match": {"method": "POST /login"}, "per": ["ip"], "rate": {"count": 1, "per": "1h"}}`

func TestTheFirstPageShowsWhatLimitsAndBreakersDo(t *testing.T) {
	f := newFixture(t, token)
	for range 120 {
		_, err := f.set.Decide(t.Context(), rules.Subject{User: "secret-user"}, 1)
		require.NoError(t, err)
	}
	b, err := circuitbreaker.New(circuitbreaker.Config{Name: "payment"}, circuitbreaker.WithDetector(detect.Consecutive(2)))
	require.NoError(t, err)
	f.breakers.Add("the bank", b)
	_, body := f.page("/console")
	require.Contains(t, body, "all closed")
	for range 2 {
		_, _ = circuitbreaker.Do(t.Context(), b, func(context.Context) (int, error) { return 0, errors.New("down") })
	}

	_, body = f.page("/console")
	for _, want := range []string{
		`data-rule="login"`, "POST /login, for each address", "20 per minute, burst 10", "for each user",
		`data-revision="1"`, "payment", "the bank", ">open<", "probes in", "opened last because of", "1 not closed",
	} {
		require.Contains(t, body, want)
	}
	require.Regexp(t, `(?s)data-rule="default".*data-label="allowed">1\d\d<.*data-label="limited" class="warn">\d`, body)
	require.NotContains(t, body, "secret-user", "rules and counts, and never a key")
}

func TestAShadowRuleShowsWhatItWouldLimit(t *testing.T) {
	f := newFixture(t, token)
	require.NoError(t, f.set.Replace([]rules.Rule{{Name: "trial", Rate: ratelimit.PerHour(1), Shadow: true}}))
	for range 3 {
		d, err := f.set.Decide(t.Context(), rules.Subject{User: "a"}, 1)
		require.NoError(t, err)
		require.True(t, d.Allowed)
	}
	sums := f.tally.Minute(time.Now())
	require.Equal(t, console.Counts{Allowed: 1, ShadowLimited: 2}, sums["trial"])
	require.EqualValues(t, 3, sums[""].Allowed)
}

func TestWithoutTheTokenThePageOnlyReads(t *testing.T) {
	for name, f := range map[string]*fixture{"locked": newFixture(t, token), "no token at all": newFixture(t, "")} {
		t.Run(name, func(t *testing.T) {
			_, err := f.follower.Latest(t.Context())
			require.NoError(t, err)
			_, body := f.page("/console/rules/api")
			require.NotContains(t, body, "<form")
			require.Contains(t, body, "read only")
			unsigned := append([]byte(`{"name":"kim","until":99999999999}`), make([]byte, 32)...)
			forged := &http.Cookie{Name: "webook-console", Value: base64.RawURLEncoding.EncodeToString(unsigned)}
			for _, how := range []func(*http.Request){
				nil,
				func(r *http.Request) { r.AddCookie(forged) },
				func(r *http.Request) { r.Header.Set("Authorization", "Bearer ") },
				func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token+"x") },
				func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token[1:]) },
			} {
				for _, path := range []string{"/console/rules/api/edit", "/console/rules/api/rollback"} {
					form := edit(1, "login", tightLogin)
					form.Set("to", "1")
					require.Equal(t, http.StatusForbidden, f.post(path, form, how).Code)
				}
				require.EqualValues(t, 1, f.latest().Number)
			}
			w := f.post("/console/unlock", url.Values{"token": {""}, "name": {"kim"}}, nil)
			require.Equal(t, http.StatusForbidden, w.Code)
			require.Empty(t, w.Result().Cookies())
		})
	}
}

func TestGuessingTheTokenIsLimited(t *testing.T) {
	f := newFixture(t, token)
	codes := map[int]int{}
	for i := range 15 {
		codes[f.post("/console/unlock", url.Values{"token": {fmt.Sprint("guess", i)}, "name": {"x"}}, nil).Code]++
	}
	require.Equal(t, map[int]int{http.StatusForbidden: 10, http.StatusTooManyRequests: 5}, codes)
	w := f.post("/console/unlock", url.Values{"token": {token}, "name": {"kim"}}, nil)
	require.Equal(t, http.StatusTooManyRequests, w.Code, "the right one would tell, too")
	w = f.post("/console/unlock", url.Values{"token": {token}, "name": {"kim"}}, func(r *http.Request) { r.RemoteAddr = "192.0.2.9:1" })
	require.Equal(t, http.StatusSeeOther, w.Code, "others are not locked out")
}

func TestASessionChangesWhatItsOperatorSaw(t *testing.T) {
	f := newFixture(t, token)
	cookie := f.unlock()
	require.True(t, cookie.HttpOnly)
	require.Equal(t, http.SameSiteStrictMode, cookie.SameSite)
	require.NotContains(t, cookie.Value, token)
	_, form := f.page("/console/rules/api/edit?rule=login", cookie)
	require.Contains(t, form, `name="after" value="1"`)

	w := f.post("/console/rules/api/edit", edit(1, "login", tightLogin), func(r *http.Request) { r.AddCookie(cookie) })
	require.Equal(t, http.StatusSeeOther, w.Code, w.Body.String())
	require.Equal(t, "/console/rules/api?saved=2", w.Header().Get("Location"))
	r := f.latest()
	require.Equal(t, "kim", r.Author)
	require.Equal(t, ratelimit.PerHour(1), r.Rules[0].Rate)
	require.Equal(t, "default", r.Rules[1].Name, "the other rule is as it was")
	f.log.RequireLine(logger.LevelInfo, "limits changed on the console")

	_, page := f.page("/console/rules/api", cookie)
	require.Contains(t, page, "kim")
	require.Contains(t, page, `<span class="was">20 per minute, burst 10</span> → <span class="now">1 per hour</span>`)
	require.Contains(t, page, `id="rollback-1"`)
	w = f.post("/console/lock", nil, func(r *http.Request) { r.AddCookie(cookie) })
	require.Negative(t, w.Result().Cookies()[0].MaxAge)
}

func TestASessionEndsWithItsTimeAndItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, other := newFixture(t, token), newFixture(t, token+"-another")
		cookie := f.unlock()
		open := func(f *fixture) bool {
			_, body := f.page("/console/rules/api/edit", cookie)
			return !strings.Contains(body, "Unlock changes")
		}
		require.True(t, open(f))
		require.False(t, open(other), "a session is worth nothing under another token")
		time.Sleep(59 * time.Minute)
		require.True(t, open(f))
		time.Sleep(2 * time.Minute)
		require.False(t, open(f))
	})
}

func TestAConflictIsToldWithTheNewerText(t *testing.T) {
	f := newFixture(t, token)
	cookie := f.unlock()
	_, err := f.follower.Latest(t.Context())
	require.NoError(t, err)
	newer := f.latest().Rules
	newer[0].Rate = ratelimit.PerMinute(7)
	_, err = f.follower.Save(t.Context(), 1, rollout.Edit{Rules: newer, Author: "lee"})
	require.NoError(t, err)

	w := f.post("/console/rules/api/edit", edit(1, "login", tightLogin), func(r *http.Request) { r.AddCookie(cookie) })
	require.Equal(t, http.StatusConflict, w.Code)
	body := w.Body.String()
	require.Contains(t, body, `data-code="stale"`)
	require.Contains(t, body, "lee saved 2")
	require.Contains(t, body, "&#34;count&#34;: 7", "what is in force now")
	require.Contains(t, body, "&#34;count&#34;: 1", "and what was typed")
	require.Contains(t, body, `name="after" value="2"`, "so that saving it all the same is possible, knowingly")
	require.EqualValues(t, 2, f.latest().Number)

	status, refusal := f.script("/console/rules/api/edit", edit(1, "login", tightLogin))
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "stale", refusal.Code)
	require.EqualValues(t, 2, refusal.Latest.Number)
	told, err := rules.Parse(refusal.Latest.Rules)
	require.NoError(t, err)
	require.EqualValues(t, 7, told[0].Rate.Count)
}

func TestABadEditNamesTheFieldAndChangesNothing(t *testing.T) {
	f := newFixture(t, token)
	_, err := f.follower.Latest(t.Context())
	require.NoError(t, err)
	for name, c := range map[string]struct{ rule, text, life, field string }{
		"rate of a rule":    {"login", `{"name": "login", "rate": {"count": 0, "per": "1s"}}`, "", "rate.count"},
		"unit of a rule":    {"login", `{"name": "login", "rate": {"count": 5, "per": "minute"}}`, "", "rate.per"},
		"typing error":      {"login", `{"name": "login", "rats": 1}`, "", "rats"},
		"no JSON":           {"login", `name: login`, "", "rule"},
		"two rules in one":  {"login", `{"name": "a", "blocked": true}, {"name": "b", "blocked": true}`, "", "rule"},
		"name of another":   {"login", `{"name": "default", "blocked": true}`, "", "rules[1].name"},
		"rule that is gone": {"gone", `{"name": "gone", "blocked": true}`, "", "rule"},
		"rate of all rules": {"", `[{"name": "a", "blocked": true}, {"name": "b", "rate": {"count": -1, "per": "1s"}}]`, "", "rules[1].rate.count"},
		"null":              {"", `null`, "", "rules"},
		"life":              {"login", tightLogin, "a while", "for"},
		"life too long":     {"login", tightLogin, "99999h", "for"},
	} {
		t.Run(name, func(t *testing.T) {
			form := edit(1, c.rule, c.text)
			form.Set("for", c.life)
			status, refusal := f.script("/console/rules/api/edit", form)
			require.Equal(t, http.StatusBadRequest, status)
			require.Equal(t, "invalid", refusal.Code)
			var fields []string
			for _, field := range refusal.Fields {
				fields = append(fields, field.Field)
				require.NotEmpty(t, field.Reason)
			}
			require.Contains(t, fields, c.field)
			require.EqualValues(t, 1, f.latest().Number)
			inForce, _ := f.set.Rules()
			require.Equal(t, f.latest().Rules, inForce)
		})
	}
	anonymous := f.post("/console/rules/api/edit", edit(1, "login", tightLogin), func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Accept", "application/json")
	})
	require.Equal(t, http.StatusBadRequest, anonymous.Code)
	require.Contains(t, anonymous.Body.String(), `"field":"author"`)
}

func TestARequestFromAnotherSiteIsRefused(t *testing.T) {
	f := newFixture(t, token)
	cookie := f.unlock()
	for name, foreign := range map[string]func(*http.Request){
		"a modern browser":   func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"a sibling":          func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
		"an older browser":   func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "https://evil.example") },
		"a sandboxed iframe": func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "null") },
	} {
		t.Run(name, func(t *testing.T) {
			w := f.post("/console/rules/api/edit", edit(1, "login", tightLogin), func(r *http.Request) { r.AddCookie(cookie); foreign(r) })
			require.Equal(t, http.StatusForbidden, w.Code)
			require.Contains(t, w.Body.String(), "another site")
			require.Equal(t, http.StatusForbidden, f.post("/console/lock", nil, foreign).Code)
		})
	}
	require.Less(t, f.latest().Number, uint64(2))
}

func TestARollbackIsOneAction(t *testing.T) {
	f := newFixture(t, token)
	_, err := f.follower.Latest(t.Context())
	require.NoError(t, err)
	status, _ := f.script("/console/rules/api/edit", edit(1, "login", tightLogin))
	require.Equal(t, http.StatusOK, status)
	status, refusal := f.script("/console/rules/api/rollback", url.Values{"after": {"1"}, "to": {"1"}})
	require.Equal(t, http.StatusConflict, status, "somebody was faster: %v", refusal)
	status, refusal = f.script("/console/rules/api/rollback", url.Values{"after": {"2"}, "to": {"99"}})
	require.Equal(t, http.StatusNotFound, status)
	require.Equal(t, "missing", refusal.Code)
	status, _ = f.script("/console/rules/api/rollback", url.Values{"after": {"2"}, "to": {"x"}})
	require.Equal(t, http.StatusNotFound, status)

	status, _ = f.script("/console/rules/api/rollback", url.Values{"after": {"2"}, "to": {"1"}})
	require.Equal(t, http.StatusOK, status)
	inForce, _ := f.set.Rules()
	require.EqualValues(t, 20, inForce[0].Rate.Count)
	require.EqualValues(t, 1, f.latest().Restores)
}

func TestAReviewSavesNothingAndTellsWhatTheRulesWouldHaveDone(t *testing.T) {
	f := newFixture(t, token)
	cookie := f.unlock()
	for range 5 {
		_, err := f.set.Decide(t.Context(), rules.Subject{User: "ann"}, 1)
		require.NoError(t, err)
	}
	form := edit(1, "default", `{"name": "default", "per": ["user"], "rate": {"count": 1, "per": "1h"}, "burst": 2}`)
	form.Set("do", "review")
	form.Set("for", "15m")
	w := f.post("/console/rules/api/edit", form, func(r *http.Request) { r.AddCookie(cookie) })
	require.Equal(t, http.StatusOK, w.Code)
	body := w.Body.String()
	require.Contains(t, body, `data-calls="5" data-now="0" data-then="3"`)
	require.Contains(t, body, `<code>default</code> limits <span class="now">3</span> of its 5 calls, now 0`)
	require.Contains(t, body, "for 15m, then as before")
	require.Contains(t, body, `value="save"`)
	require.EqualValues(t, 1, f.latest().Number)

	form.Set("do", "edit")
	w = f.post("/console/rules/api/edit", form, func(r *http.Request) { r.AddCookie(cookie) })
	require.Contains(t, w.Body.String(), `<option value="15m" selected>`)
	require.NotContains(t, w.Body.String(), `value="save"`)
}

func TestATemporaryRuleShowsItsEnd(t *testing.T) {
	f := newFixture(t, token)
	_, err := f.follower.Latest(t.Context())
	require.NoError(t, err)
	form := edit(1, "login", tightLogin)
	form.Set("for", "1h")
	status, _ := f.script("/console/rules/api/edit", form)
	require.Equal(t, http.StatusOK, status)
	_, body := f.page("/console/rules/api")
	require.Regexp(t, `ends in (59m|1h)`, body)
	require.Contains(t, body, "until ")
}

func TestWhatPeopleWroteIsTextOnThePage(t *testing.T) {
	f := newFixture(t, token)
	_, err := f.follower.Latest(t.Context())
	require.NoError(t, err)
	form := edit(1, "login", `{"name": "<script>alert(1)</script>", "match": {"user": "\"><img src=x>"}, "blocked": true}`)
	form.Set("note", "<b>note</b>")
	status, _ := f.script("/console/rules/api/edit", form)
	require.Equal(t, http.StatusOK, status)
	for _, path := range []string{"/console", "/console/rules/api", "/console/rules/api/edit"} {
		_, body := f.page(path, f.unlock())
		require.NotContains(t, body, "<script>alert")
		require.NotContains(t, body, "<img")
		require.NotContains(t, body, "<b>")
	}
}

func TestAFormIsBounded(t *testing.T) {
	f := newFixture(t, token)
	w := f.post("/console/rules/api/edit", edit(1, "", strings.Repeat("x", 2<<20)), nil)
	require.Equal(t, http.StatusRequestEntityTooLarge, w.Code)
}

func TestAVisitorIsOnlySentOnWithinTheConsole(t *testing.T) {
	f := newFixture(t, token)
	for next, want := range map[string]string{
		"/console/rules/api/edit?rule=login": "/console/rules/api/edit?rule=login",
		"https://evil.example/console":       "/console", "//evil.example": "/console", "/logout": "/console", "": "/console",
	} {
		w := f.post("/console/unlock", url.Values{"token": {token}, "name": {"kim"}, "next": {next}}, nil)
		require.Equal(t, want, w.Header().Get("Location"))
	}
}

func TestNoPageShowsTheTokenNorItsLog(t *testing.T) {
	f := newFixture(t, token)
	cookie := f.unlock()
	f.post("/console/unlock", url.Values{"token": {"wrong-token-of-somebody"}, "name": {"x"}}, nil)
	status, _ := f.script("/console/rules/api/edit", edit(1, "login", tightLogin))
	require.Equal(t, http.StatusOK, status)
	for _, path := range []string{"/console", "/console/live", "/console/rules/api", "/console/rules/api/edit", "/console/unlock"} {
		for _, cookies := range [][]*http.Cookie{nil, {cookie}} {
			_, body := f.page(path, cookies...)
			require.NotContains(t, body, token)
			require.NotContains(t, body, cookie.Value)
		}
	}
	for _, line := range f.log.Records() {
		require.NotContains(t, line.String(), token)
		require.NotContains(t, line.String(), "wrong-token-of-somebody")
	}
}

// Nothing runs for the page but the requests of who looks at it.
func TestNobodyLookingCostsNoGoroutine(t *testing.T) {
	before := goleak.IgnoreCurrent()
	f := newFixture(t, token)
	goleak.VerifyNone(t, before)
	cookie := f.unlock()
	for range 50 {
		for _, path := range []string{"/console", "/console/live", "/console/rules/api", "/console/rules/api/live", "/console/rules/api/edit"} {
			status, _ := f.page(path, cookie)
			require.Equal(t, http.StatusOK, status)
		}
	}
	status, _ := f.script("/console/rules/api/edit", edit(1, "login", tightLogin))
	require.Equal(t, http.StatusOK, status)
	goleak.VerifyNone(t, before)
}
