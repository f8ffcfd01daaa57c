package saramax

import (
	"fmt"

	"github.com/IBM/sarama"
)

// Acks is when a record counts as produced. The zero Acks is AllReplicas.
type Acks uint8

// The acknowledgements, the surest first.
const (
	// AllReplicas: all in-sync replicas have the record, and have it once, in order.
	// How many that are at least, the topic's min.insync.replicas says.
	AllReplicas Acks = iota
	// LeaderOnly: one broker has the record. It is lost with that broker, and a retry
	// may write it twice.
	LeaderOnly
	// AtMostOnce: the record has been sent. Nobody hears whether it arrived, nothing is
	// tried again, and a [Receipt] knows no offset.
	AtMostOnce
)

var acksNames = []string{"AllReplicas", "LeaderOnly", "AtMostOnce"}

// String returns the name, "invalid" for a value out of range.
func (a Acks) String() string {
	if int(a) >= len(acksNames) {
		return "invalid"
	}
	return acksNames[a]
}

func (a Acks) check() error {
	if int(a) >= len(acksNames) {
		return fmt.Errorf("saramax: Acks %d is none of AllReplicas, LeaderOnly and AtMostOnce", a)
	}
	return nil
}

func (a Acks) required() sarama.RequiredAcks {
	switch a {
	case LeaderOnly:
		return sarama.WaitForLocal
	case AtMostOnce:
		return sarama.NoResponse
	default:
		return sarama.WaitForAll
	}
}

// weaken sets what a named weaker durability means; AllReplicas changes nothing, for
// the check to see what the caller has set.
func (a Acks) weaken(cfg *sarama.Config) {
	if a == AllReplicas {
		return
	}
	cfg.Producer.RequiredAcks = a.required()
	cfg.Producer.Idempotent = false
	if a == AtMostOnce {
		cfg.Producer.Retry.Max = 0
	}
}
