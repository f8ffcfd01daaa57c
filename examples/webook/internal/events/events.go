// Package events is what webook's parts tell each other through Kafka: topics, groups,
// payloads, and what produces and consumes them. Producers and consumers take the
// names from here, so that they never disagree.
//
// # Groups
//
// A group is one purpose: all instances that consume a topic for it share the group,
// and another purpose has its own. Two purposes in one group would each see a part of
// the events.
//
// # Event ids
//
// A producer gives each event an id, in the header [HeaderEventID]. It stays with the
// event however often that is delivered, replayed or copied to another topic, so a
// consumer that keeps the ids of what it has done does nothing twice.
package events

// The topics.
const (
	// TopicRead has a [ReadEvent] for each reading of an article.
	TopicRead = "read_article"
	// TopicReadOld is what some producers call TopicRead. We only consume it.
	TopicReadOld = "article_read"
)

// The groups.
const (
	// GroupInteractive counts what readers do.
	GroupInteractive = "interactive"
)

// HeaderEventID is the header with the event's id: the one that an outbox sets, too.
const HeaderEventID = "id"

// Names are the names of topics and groups on brokers that several installations may
// share. The zero Names are the plain ones.
type Names struct{ Prefix string }

// Of returns the name there of a topic or group.
func (n Names) Of(plain string) string { return n.Prefix + plain }

// Topics returns all topics that the app needs.
func (n Names) Topics() []string { return n.ReadTopics() }

// ReadTopics returns the topics that hold a [ReadEvent].
func (n Names) ReadTopics() []string { return []string{n.Of(TopicRead), n.Of(TopicReadOld)} }

// ReadEvent says that somebody read an article.
type ReadEvent struct {
	// UserID is 0 for a visitor who has not logged in.
	UserID    int64 `json:"Uid"`
	ArticleID int64 `json:"Aid"`
}
