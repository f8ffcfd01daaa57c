package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/ratelimit/rules"
	"github.com/bulwark-go/bulwark/ratelimit/rules/rollout"
)

// saving bounds a change: longer than a page view, for it is worth waiting for.
const saving = 3 * time.Second

// formMax is the largest change in bytes; more rules than that are for the file.
const formMax = 1 << 20

// editPage is what the form shows.
type editPage struct {
	frame
	Set     Set
	Latest  rollout.Revision
	Edit    edit
	Problem *Refusal
	Review  *review
	Lives   []life
	// Newer is the text that is in force, when the edit was made from another.
	Newer string
	// Rows is the height of the text.
	Rows int
}

// life is a choice of how long a change lives.
type life struct{ Value, Text string }

var lives = []life{
	{"", "for good"}, {"5m", "5 minutes"}, {"15m", "15 minutes"}, {"1h", "an hour"}, {"4h", "4 hours"}, {"24h", "a day"},
}

// edit shows the form of a rule, or of all.
func (c *Console) edit(w http.ResponseWriter, r *http.Request, s Set) {
	ctx, cancel := context.WithTimeout(r.Context(), asking)
	defer cancel()
	if _, err := c.access.who(r); err != nil {
		c.ask(w, r, r.URL.RequestURI(), nil)
		return
	}
	latest, err := s.Follower.Latest(ctx)
	e := edit{}
	if err == nil {
		e, err = begin(latest, r.FormValue("rule"))
	}
	if err != nil {
		c.refuse(w, r, problemOf(err, latest))
		return
	}
	c.showEdit(w, r, http.StatusOK, editPage{Set: s, Latest: latest, Edit: e})
}

func (c *Console) showEdit(w http.ResponseWriter, r *http.Request, status int, p editPage) {
	p.frame, p.Lives = c.frame(r, "edit"), lives
	p.Rows = min(strings.Count(p.Edit.Text, "\n")+3, 30)
	c.show(w, status, "edit", p)
}

// change takes the form: to review it, to go on editing, or to save it.
func (c *Console) change(w http.ResponseWriter, r *http.Request, s Set) {
	author, err := c.access.who(r)
	if err != nil {
		c.refuse(w, r, problemOf(err, rollout.Revision{}))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), saving)
	defer cancel()
	p := editPage{Set: s, Edit: editOf(r)}
	if p.Latest, err = s.Follower.Latest(ctx); err != nil {
		c.refuse(w, r, problemOf(err, p.Latest))
		return
	}
	next, err := p.Edit.over(p.Latest, author)
	err = errors.Join(p.Edit.conflicts(p.Latest), err)
	do := r.FormValue("do")
	if err == nil && do == "save" {
		var rev rollout.Revision
		if rev, err = s.Follower.Save(ctx, p.Edit.After, next); err == nil {
			c.saved(w, r, s, rev)
			return
		}
		if errors.Is(err, rules.ErrStale) {
			p.Latest, _ = s.Follower.Latest(ctx) // what is newer by now
		}
	}
	c.answerEdit(ctx, w, r, p, next, err, do)
}

// answerEdit shows the form again, with what is wrong or what would change.
func (c *Console) answerEdit(ctx context.Context, w http.ResponseWriter, r *http.Request, p editPage, next rollout.Edit, err error, do string) {
	status := http.StatusOK
	if err != nil {
		p.Problem = problemOf(err, p.Latest)
		status = p.Problem.status
		if wantsJSON(r) {
			writeJSON(w, status, p.Problem)
			return
		}
	} else if do != "edit" {
		p.Review = p.Set.review(ctx, p.Latest, next)
	}
	if p.Problem != nil && p.Problem.Latest != nil {
		newer, _ := begin(p.Latest, p.Edit.Rule) // without the rule, all of them
		p.Newer = newer.Text
	}
	p.Edit.After = p.Latest.Number // to save it all the same takes one more, knowing press
	if wantsJSON(r) {
		writeJSON(w, status, p.Review)
		return
	}
	c.showEdit(w, r, status, p)
}

// rollback makes a revision of the history's rules.
func (c *Console) rollback(w http.ResponseWriter, r *http.Request, s Set) {
	author, err := c.access.who(r)
	ctx, cancel := context.WithTimeout(r.Context(), saving)
	defer cancel()
	var rev rollout.Revision
	if err == nil {
		after, afterErr := strconv.ParseUint(r.FormValue("after"), 10, 64)
		to, toErr := strconv.ParseUint(r.FormValue("to"), 10, 64)
		if errors.Join(afterErr, toErr) != nil {
			err = rollout.ErrUnknown
		} else {
			rev, err = s.Follower.Rollback(ctx, after, to, author, "back to revision "+r.FormValue("to"))
		}
	}
	if err != nil {
		latest, _ := s.Follower.Latest(ctx)
		c.refuse(w, r, problemOf(err, latest))
		return
	}
	c.saved(w, r, s, rev)
}

func (c *Console) saved(w http.ResponseWriter, r *http.Request, s Set, rev rollout.Revision) {
	c.logged(s, rev)
	if wantsJSON(r) {
		writeJSON(w, http.StatusOK, textOfRevision(rev))
		return
	}
	http.Redirect(w, r, "/console/rules/"+s.Name+"?saved="+strconv.FormatUint(rev.Number, 10), http.StatusSeeOther)
}

// refuse answers a request that changed nothing.
func (c *Console) refuse(w http.ResponseWriter, r *http.Request, p *Refusal) {
	if wantsJSON(r) {
		writeJSON(w, p.status, p)
		return
	}
	c.show(w, p.status, "refused", refusedPage{c.frame(r, "refused"), p})
}

type refusedPage struct {
	frame
	Problem *Refusal
}

// unlockPage asks for the token.
type unlockPage struct {
	frame
	Next    string
	Problem *Refusal
}

func (c *Console) askToken(w http.ResponseWriter, r *http.Request) {
	c.ask(w, r, r.FormValue("next"), nil)
}

func (c *Console) ask(w http.ResponseWriter, r *http.Request, next string, err error) {
	p, status := unlockPage{frame: c.frame(r, "unlock"), Next: local(next)}, http.StatusOK
	if err != nil {
		p.Problem = problemOf(err, rollout.Revision{})
		status = p.Problem.status
	}
	c.show(w, status, "unlock", p)
}

func (c *Console) unlock(w http.ResponseWriter, r *http.Request) {
	next := local(r.FormValue("next"))
	if err := c.access.unlock(w, r, r.PostFormValue("token"), r.PostFormValue("name")); err != nil {
		c.log.Warn("console not unlocked", logger.Err(err))
		c.ask(w, r, next, err)
		return
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
}

func (c *Console) lock(w http.ResponseWriter, r *http.Request) {
	c.access.lock(w, r)
	http.Redirect(w, r, "/console", http.StatusSeeOther)
}

// local keeps a redirection on the console.
func local(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Host != "" || u.Scheme != "" || !strings.HasPrefix(next, "/console") {
		return "/console"
	}
	return u.RequestURI()
}
