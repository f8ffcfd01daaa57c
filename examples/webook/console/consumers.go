package console

import (
	"net/http"
	"slices"
	"time"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/ratelimit/rules/rollout"
	"github.com/bulwark-go/bulwark/saramax"
	"github.com/bulwark-go/bulwark/saramax/lag"
)

// Consumer is a consumer of topics as the page shows and steers it. All are required.
type Consumer struct {
	// About says what it does.
	About string
	// Status is this instance's part, Pause and Resume steer it.
	Status        func() saramax.Status
	Pause, Resume func(topic string)
	// Lag is how far the group is behind on the partitions of this instance, and
	// PutAside what lies in its dead-letter topics. Both are what the last poll told.
	Lag, PutAside func() []lag.Partition
}

// consumerView is a consumer as the page shows it.
type consumerView struct {
	saramax.Status
	About string
	Rows  []partitionView
	// Behind is the age of the oldest record to be consumed, Waiting how many are.
	Behind  time.Duration
	Waiting int64
	// Dead is how many records were put aside and are still kept.
	Dead int64
	// Paused tells that somebody paused a partition, Held that one is not consumed.
	Paused, Held bool
}

type partitionView struct {
	saramax.PartitionStatus
	// Lag is nil before the first poll.
	Lag *lag.Partition
}

// Good tells whether everything is consumed as it comes.
func (v consumerView) Good() bool { return v.Up && !v.Held && !v.Paused }

func (c Consumer) look() consumerView {
	v := consumerView{Status: c.Status(), About: c.About}
	polled := c.Lag()
	for _, p := range v.Partitions {
		row := partitionView{PartitionStatus: p}
		i := slices.IndexFunc(polled, func(l lag.Partition) bool { return l.Topic == p.Topic && l.Partition == p.Partition })
		if i >= 0 {
			row.Lag = &polled[i]
			v.Waiting += max(row.Lag.Messages, 0)
			v.Behind = max(v.Behind, row.Lag.Behind)
			v.Held = v.Held || row.Lag.State == lag.Stalled || row.Lag.State == lag.Overtaken
		}
		v.Paused = v.Paused || p.Paused&saramax.PauseOperator != 0
		v.Held = v.Held || p.Paused&(saramax.PauseBudget|saramax.PausePark|saramax.PauseGap) != 0
		v.Rows = append(v.Rows, row)
	}
	for _, p := range c.PutAside() {
		v.Dead += p.End - p.Start
	}
	return v
}

func (c *Console) lookAtConsumers() []consumerView {
	var views []consumerView
	for _, consumer := range c.Consumers {
		views = append(views, consumer.look())
	}
	return views
}

// steerConsumer pauses and resumes the topics of a consumer on this instance, for who
// has the token.
func (c *Console) steerConsumer(w http.ResponseWriter, r *http.Request) {
	who, err := c.access.who(r)
	if err != nil {
		c.refuse(w, r, problemOf(err, rollout.Revision{}))
		return
	}
	i := slices.IndexFunc(c.Consumers, func(consumer Consumer) bool { return consumer.Status().Group == r.FormValue("group") })
	do := r.FormValue("do")
	if i < 0 || do != "pause" && do != "resume" {
		c.refuse(w, r, problemOf(errUnknownChoice, rollout.Revision{}))
		return
	}
	steer := c.Consumers[i].Pause
	if do == "resume" {
		steer = c.Consumers[i].Resume
	}
	topics := map[string]bool{}
	for _, p := range c.Consumers[i].Status().Partitions {
		if !topics[p.Topic] {
			topics[p.Topic] = true
			steer(p.Topic)
		}
	}
	c.log.Info("console: "+do+" consumer", logger.String("group", r.FormValue("group")), logger.String("who", who))
	if wantsJSON(r) {
		writeJSON(w, http.StatusOK, map[string]string{"done": do})
		return
	}
	http.Redirect(w, r, "/console#consumers", http.StatusSeeOther)
}
