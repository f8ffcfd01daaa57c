package saramax

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// The headers that a record carries through retry topics into the dead-letter topic.
// There is each of them once at most, however many hops a record takes: a hop
// overwrites what the last one wrote. Numbers are in decimal, times in milliseconds
// since 1970.
const (
	// HeaderTopic, HeaderPartition, HeaderOffset and HeaderTime say where the record
	// lay first, and with which timestamp: see [OriginOf]. Its key stays its key.
	HeaderTopic     = "saramax-topic"
	HeaderPartition = "saramax-partition"
	HeaderOffset    = "saramax-offset"
	HeaderTime      = "saramax-time"
	// HeaderGroup is the group whose handler failed.
	HeaderGroup = "saramax-group"
	// HeaderReason is the [Reason] of the last failure, and HeaderError its text, cut
	// off after 1 KiB.
	HeaderReason = "saramax-reason"
	HeaderError  = "saramax-error"
	// HeaderAttempts is how often the handler was called, in all topics together.
	HeaderAttempts = "saramax-attempts"
	// HeaderFirstFailure is when the handler first failed, and HeaderFailed when it
	// last did.
	HeaderFirstFailure = "saramax-first-failure"
	HeaderFailed       = "saramax-failed"
)

// ownHeaders are all of the above.
var ownHeaders = []string{
	HeaderTopic, HeaderPartition, HeaderOffset, HeaderTime, HeaderGroup, HeaderReason,
	HeaderError, HeaderAttempts, HeaderFirstFailure, HeaderFailed,
}

// maxErrorText keeps a record that just fitted into its topic fitting into the next:
// all our headers together stay below 2 KiB.
const maxErrorText = 1 << 10

// Origin is where a record lay first, however many retry topics, dead-letter topics
// and replays lie between. It identifies the record, so an idempotent handler whose
// records have no event id of their own can use its String as the key.
type Origin struct {
	Topic     string
	Partition int32
	Offset    int64
	// Time is the timestamp that the record had there.
	Time time.Time
}

// String returns "topic/partition/offset".
func (o Origin) String() string {
	return o.Topic + "/" + strconv.FormatInt(int64(o.Partition), 10) + "/" + strconv.FormatInt(o.Offset, 10)
}

// OriginOf tells where r lay first. That is where it lies, unless it lies in a retry
// or dead-letter topic of its origin, or was replayed from there: a handler that
// forwards headers to another topic does not forward the identity.
func OriginOf[T any](r Record[T]) Origin {
	here := Origin{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Time: r.Time}
	return originOf(here, r.Headers)
}

func originOf(here Origin, h Headers) Origin {
	o, ok := originIn(h)
	if !ok || !descends(here.Topic, o.Topic, string(h.Get(HeaderGroup))) {
		return here
	}
	return o
}

// originIn reads the origin that the headers name.
func originIn(h Headers) (Origin, bool) {
	topic := string(h.Get(HeaderTopic))
	partition, err := strconv.ParseInt(string(h.Get(HeaderPartition)), 10, 32)
	if topic == "" || err != nil || partition < 0 {
		return Origin{}, false
	}
	offset, err := strconv.ParseInt(string(h.Get(HeaderOffset)), 10, 64)
	if err != nil || offset < 0 {
		return Origin{}, false
	}
	return Origin{Topic: topic, Partition: int32(partition), Offset: offset, Time: headerTime(h, HeaderTime)}, true
}

// descends tells whether topic is origin or belongs to it.
func descends(topic, origin, group string) bool {
	return topic == origin || group != "" &&
		(topic == DeadLetterTopic(origin, group) || strings.HasPrefix(topic, retryPrefix(origin, group)))
}

// Failure is what is known of a record whose handler failed. A handler never sees one;
// failure policies, filters of replays and the headers in the dead-letter topic do.
type Failure struct {
	// Origin is where the record lay first.
	Origin Origin
	// Group is the group whose handler failed.
	Group string
	// Reason and Err are those of the last failure. Of a failure that was read from
	// headers, Err has the text alone.
	Reason Reason
	Err    error
	// Attempt counts the handler's calls with the record so far, in all topics.
	Attempt int
	// Tier is where it failed: 0 in its own topic, n in the nth retry topic.
	Tier int
	// First and Last are when it first and last failed.
	First, Last time.Time
}

// textError is an error of which only the text came through.
type textError string

func (e textError) Error() string { return string(e) }

// FailureIn reads what the headers of a record in a retry or dead-letter topic tell,
// but Tier, which is known from the topic. It is false for a record without them.
func FailureIn(h Headers) (Failure, bool) {
	origin, ok := originIn(h)
	if !ok {
		return Failure{}, false
	}
	f := Failure{
		Origin: origin, Group: string(h.Get(HeaderGroup)),
		First: headerTime(h, HeaderFirstFailure), Last: headerTime(h, HeaderFailed),
	}
	f.Reason = reasonNamed(string(h.Get(HeaderReason)))
	if text := h.Get(HeaderError); len(text) > 0 {
		f.Err = textError(text)
	}
	if n, err := strconv.Atoi(string(h.Get(HeaderAttempts))); err == nil {
		f.Attempt = max(n, 0)
	}
	return f, true
}

// reasonNamed is the reverse of [Reason.String]; an unknown name gives a Reason that is
// out of range.
func reasonNamed(name string) Reason {
	return Reason(slices.Index(reasonNames[:], name))
}

// headers returns h without what earlier hops wrote of themselves, and with f.
func (f Failure) headers(h Headers) Headers {
	out := append(withoutOwn(h),
		Header{HeaderTopic, []byte(f.Origin.Topic)},
		Header{HeaderPartition, decimal(int64(f.Origin.Partition))},
		Header{HeaderOffset, decimal(f.Origin.Offset)},
		Header{HeaderTime, millis(f.Origin.Time)},
		Header{HeaderGroup, []byte(f.Group)},
		Header{HeaderReason, []byte(f.Reason.String())},
		Header{HeaderAttempts, decimal(int64(f.Attempt))},
		Header{HeaderFirstFailure, millis(f.First)},
		Header{HeaderFailed, millis(f.Last)},
	)
	if f.Err != nil {
		out = append(out, Header{HeaderError, []byte(capText(f.Err.Error(), maxErrorText))})
	}
	return out
}

// withoutOwn returns h without any header of ours, with room for them.
func withoutOwn(h Headers) Headers {
	out := make(Headers, 0, len(h)+len(ownHeaders))
	for _, header := range h {
		if !isOwn(header.Key) {
			out = append(out, header)
		}
	}
	return out
}

func isOwn(key string) bool {
	for _, own := range ownHeaders {
		if key == own {
			return true
		}
	}
	return false
}

// capText cuts text to at most limit bytes, and makes UTF-8 of what is not, half a rune
// at the end included: consoles and JSON exporters choke on it.
func capText(text string, limit int) string {
	return strings.ToValidUTF8(text[:min(len(text), limit)], "?")
}

func decimal(n int64) []byte { return strconv.AppendInt(nil, n, 10) }

// millis of the zero time is empty, which headerTime reads as the zero time.
func millis(t time.Time) []byte {
	if t.IsZero() {
		return nil
	}
	return decimal(t.UnixMilli())
}

func headerTime(h Headers, key string) time.Time {
	ms, err := strconv.ParseInt(string(h.Get(key)), 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}
