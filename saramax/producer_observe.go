package saramax

import (
	"iter"

	"github.com/bulwark-go/bulwark/observe"
)

var (
	unconfirmedRecords = observe.Gauge{
		Component: "saramax", Name: "producer_unconfirmed_records",
		Help: "Records on their way that have not settled.", Labels: []string{"client"},
	}
	unconfirmedBytes = observe.Gauge{
		Component: "saramax", Name: "producer_unconfirmed_bytes",
		Help: "Size of the records that have not settled.", Labels: []string{"client"},
	}
)

// Readings implements [observe.Source]: how much is unconfirmed, by client id.
func (p *RawProducer) Readings() iter.Seq[observe.Reading] {
	return func(yield func(observe.Reading) bool) {
		records, bytes := p.room.held()
		client := observe.Values{p.config.ClientID}
		_ = yield(observe.Reading{Gauge: &unconfirmedRecords, Values: client, Value: float64(records)}) &&
			yield(observe.Reading{Gauge: &unconfirmedBytes, Values: client, Value: float64(bytes)})
	}
}
