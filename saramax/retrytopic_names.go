package saramax

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// DeadLetterTopic returns the name of the dead-letter topic of a topic in a group:
// "<topic>.<group>.dlt". It carries the group, since what one group cannot handle is
// no business of the others.
func DeadLetterTopic(topic, group string) string { return topic + "." + group + deadLetterSuffix }

// RetryTopic returns the name of the retry topic of a topic in a group with a delay:
// "<topic>.<group>.retry.<delay>", as in "orders.billing.retry.1m30s".
func RetryTopic(topic, group string, delay time.Duration) string {
	return retryPrefix(topic, group) + shortDuration(delay)
}

const (
	deadLetterSuffix = ".dlt"
	retryInfix       = ".retry."
)

func retryPrefix(topic, group string) string { return topic + "." + group + retryInfix }

// shortDuration is the duration's String without the parts that are zero.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// ErrDeadLetterOfDeadLetter is wrapped by the error of a constructor that was asked to
// dead-letter the records of a dead-letter or retry topic. Their handler would feed
// itself. Consume a dead-letter topic with a handler that ends in done or skip, or
// bring its records back with a [Replayer].
var ErrDeadLetterOfDeadLetter = errors.New("saramax: a dead-letter topic has no dead-letter topic")

// isFailureTopic tells by its name whether a topic belongs to another one, in any
// group.
func isFailureTopic(topic string) bool {
	return strings.HasSuffix(topic, deadLetterSuffix) || retryName.MatchString(topic)
}

var retryName = regexp.MustCompile(`\.retry\.([0-9.]+(h|m|s|ms))+$`)

// routes knows which topics belong together: it is made once and never changes.
type routes struct {
	group   string
	sources []string
	// delays are those of the retry topics, by tier: delays[0] is tier 1.
	delays []time.Duration
	// stations are the topics that are consumed.
	stations map[string]station
}

// station is where a topic stands on the way that starts at its source.
type station struct {
	source string
	tier   int // 0 is the source itself
}

// newRoutes checks that each name is one that Kafka takes and that none is meant
// twice.
func newRoutes(group string, sources []string, delays []time.Duration) (*routes, error) {
	r := &routes{group: group, sources: slices.Clone(sources), delays: slices.Clone(delays), stations: map[string]station{}}
	errs := checkDelays(delays)
	for _, source := range sources {
		if isFailureTopic(source) {
			errs = append(errs, fmt.Errorf("topic %q: %w", source, ErrDeadLetterOfDeadLetter))
			continue
		}
		errs = append(errs, r.add(source)...)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *routes) add(source string) (errs []error) {
	for tier := range len(r.delays) + 1 {
		name := r.topic(source, tier)
		if !topicName.MatchString(name) {
			errs = append(errs, unusableName(source, r.group, name))
		}
		if other, taken := r.stations[name]; taken {
			errs = append(errs, fmt.Errorf("topics %q and %q both need %q", other.source, source, name))
		}
		r.stations[name] = station{source, tier}
	}
	if name := r.deadLetter(source); !topicName.MatchString(name) {
		errs = append(errs, unusableName(source, r.group, name))
	}
	return errs
}

func unusableName(topic, group, name string) error {
	return fmt.Errorf("topic %q in group %q needs topic %q, and a name is 1 to 249 of [a-zA-Z0-9._-]: "+
		"take a group name of those characters", topic, group, name)
}

// shortestDelay: below it a retry in place serves better than a topic.
const shortestDelay = 10 * time.Millisecond

func checkDelays(delays []time.Duration) (errs []error) {
	for i, d := range delays {
		if d < shortestDelay || d%time.Millisecond != 0 {
			errs = append(errs, fmt.Errorf("delay %d is %v, and must be whole milliseconds from %v on", i+1, d, shortestDelay))
		}
		if i > 0 && d <= delays[i-1] {
			errs = append(errs, fmt.Errorf("delay %d is %v after %v: delays must grow", i+1, d, delays[i-1]))
		}
	}
	return errs
}

// topic is the name of a tier; tier 0 is the source.
func (r *routes) topic(source string, tier int) string {
	if tier == 0 {
		return source
	}
	return RetryTopic(source, r.group, r.delays[tier-1])
}

func (r *routes) deadLetter(source string) string { return DeadLetterTopic(source, r.group) }

// tiers is the number of retry topics of each source.
func (r *routes) tiers() int { return len(r.delays) }

// retryTopics are all retry topics, of all sources.
func (r *routes) retryTopics() []string {
	var names []string
	for _, source := range r.sources {
		for tier := 1; tier <= r.tiers(); tier++ {
			names = append(names, r.topic(source, tier))
		}
	}
	return names
}

// station of a topic that is not known is that of a source: a [GroupHandler] learns its
// topics when they come.
func (r *routes) station(topic string) station {
	if s, known := r.stations[topic]; known {
		return s
	}
	return station{source: topic}
}

// delay is how long the records of a topic wait; 0 for a source.
func (r *routes) delay(topic string) time.Duration {
	if tier := r.station(topic).tier; tier > 0 {
		return r.delays[tier-1]
	}
	return 0
}
