// Package saramax consumes and produces Kafka records with github.com/IBM/sarama so
// that every record is accounted for: worked off, put aside where it is safe, or left
// uncommitted to be consumed again.
//
// A typed function is the whole consumer:
//
//	c, err := saramax.NewConsumer(client, "interactive", []string{"read_article"},
//		saramax.Batch(func(ctx context.Context, batch []saramax.Record[ReadEvent]) []saramax.Verdict { ... }),
//		saramax.WithBatch(500, 200*time.Millisecond), saramax.WithParker(parker))
//	err = c.Run(ctx) // returns after a clean drain
//
// # What is promised
//
// A record's offset is committed once its handler said that it is done, or it has been
// parked, and the same holds for all records before it. Marking offsets is no business
// of handlers. A handler that ends after its partition was given up moves nothing. So
// every record is handled at least once: make what handlers do idempotent.
//
// A consumer never drops a record. One that cannot be decoded, that a handler rejects
// or that fails for the last time goes to the [Parker]; without one it is tried again
// for ever and holds its partition, visibly.
//
// # Order
//
// [OrderPartition] is Kafka's own order. With [OrderKey] records of one key stay in
// order while other keys go on beside them; [Unordered] keeps none. A record waits for
// its next attempt in its place: what comes after it in its order waits as well.
//
// # Memory
//
// A partition is read whether there is room or not, since sarama stops all partitions
// of a broker when one is not read. What bounds memory is that the partition is paused
// once [Window] is full; one fetch response comes on top.
//
// # Stopping
//
// When a partition is given up or the consumer stops, no further record is begun. What
// is under way, and a batch that was filling, gets the drain deadline; then handlers'
// contexts end, what is done is committed, and anything later is fenced.
package saramax
