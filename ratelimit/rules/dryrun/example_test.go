package dryrun_test

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/rules"
	"github.com/bulwark-go/bulwark/ratelimit/rules/dryrun"
)

func ExampleNew() {
	var now time.Duration // a clock for the example; without WithClock it is the machine's
	recorder, err := dryrun.New(dryrun.Config{}, dryrun.WithClock(func() time.Duration { return now }))
	if err != nil {
		panic(err)
	}
	list := []rules.Rule{{Name: "default", Per: []rules.Field{rules.User}, Rate: ratelimit.PerSecond(10)}}
	set, err := rules.New(list, rules.WithOnDecision(recorder.OnDecision))
	if err != nil {
		panic(err)
	}
	for i := range 300 { // users 0 to 4 call in turn, each twice a second
		now += 100 * time.Millisecond
		if _, err := set.Decide(context.Background(), rules.Subject{User: strconv.Itoa(i % 5)}, 1); err != nil {
			panic(err)
		}
	}

	edited := []rules.Rule{{Name: "default", Per: []rules.Field{rules.User}, Rate: ratelimit.PerSecond(1)}}
	report, err := recorder.Replay(context.Background(), edited, list)
	if err != nil {
		panic(err)
	}
	fmt.Printf("of %d calls in %v: %d rejected instead of %d\n",
		report.Candidate.Calls, report.Window, report.Candidate.Rejected, report.Current.Rejected)
	// Output: of 300 calls in 30s: 150 rejected instead of 0
}
