package console

import (
	"context"
	"time"

	"github.com/bulwark-go/bulwark/ratelimit/rules"
	"github.com/bulwark-go/bulwark/ratelimit/rules/rollout"
)

// Set is a set of rules that the page shows and changes.
type Set struct {
	// Name is part of the page's address, Title and About are for people.
	Name, Title, About string
	Follower           *rollout.Follower
	Tally              *Tally
	// DryRun is nil where nothing remembers the last calls.
	DryRun DryRun
}

const (
	// asking bounds what a page waits for the store; a page without an answer says
	// so, and shows what this instance knows.
	asking = 500 * time.Millisecond
	// shownHistory is how many revisions a page shows.
	shownHistory = 50
)

// setView is a Set as the page shows it, taken at one moment.
type setView struct {
	Name, Title, About string
	Now                time.Time
	// Latest is what the store has, or this instance if the store did not answer.
	Latest    rollout.Revision
	Rules     []ruleView
	Loose     Counts // what no rule decided
	Minute    Counts // all of it
	Instances []instanceView
	Behind    int
	// Problem is why the store could not be asked.
	Problem error
	// Ended tells that a temporary revision's time is over, while the store cannot
	// be told.
	Ended   bool
	History []revisionView
	// Unlocked tells whether the visitor may change things.
	Unlocked bool
}

type ruleView struct {
	rules.Rule
	Limit, Scope string
	Counts
}

type instanceView struct {
	rollout.Instance
	Behind, Own bool
}

type revisionView struct {
	rollout.Revision
	Changes []change
	// First tells that there is nothing to compare it with.
	First, InForce bool
	// Over tells that a temporary revision's time has ended.
	Over bool
}

// look asks the store what the whole fleet runs.
func (s Set) look(ctx context.Context, now time.Time) setView {
	v := setView{Name: s.Name, Title: s.Title, About: s.About, Now: now}
	v.Latest, v.Problem = s.Follower.Latest(ctx)
	own := s.Follower.Snapshot()
	v.Ended = own.Ended
	list := v.Latest.Rules
	if v.Ended {
		list = v.Latest.Then
	}
	minute := s.Tally.Minute(now)
	for _, r := range list {
		v.Rules = append(v.Rules, ruleView{Rule: r, Limit: limitOf(r), Scope: scopeOf(r), Counts: minute[r.Name]})
	}
	v.Loose = minute[""]
	for _, c := range minute {
		v.Minute = v.Minute.plus(c)
	}
	if v.Problem == nil {
		v.lookAtFleet(ctx, s.Follower, own.Instance)
	}
	return v
}

func (v *setView) lookAtFleet(ctx context.Context, f *rollout.Follower, own string) {
	instances, err := f.Instances(ctx)
	v.Problem = err
	for _, i := range instances {
		behind := i.Revision != v.Latest.Number || i.Problem != ""
		if behind {
			v.Behind++
		}
		v.Instances = append(v.Instances, instanceView{i, behind, i.Name == own})
	}
}

// lookBack adds the history.
func (v *setView) lookBack(ctx context.Context, f *rollout.Follower) {
	if v.Problem != nil {
		return
	}
	history, err := f.History(ctx, shownHistory+1)
	v.Problem = err // beside what could be read
	for i, r := range history {
		if i == shownHistory {
			break
		}
		rv := revisionView{
			Revision: r, InForce: r.Number == v.Latest.Number, First: i == len(history)-1,
			Over: r.Temporary() && r.Number != v.Latest.Number,
		}
		if !rv.First {
			rv.Changes = changes(history[i+1].Rules, r.Rules)
		}
		v.History = append(v.History, rv)
	}
}
