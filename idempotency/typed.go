package idempotency

import (
	"context"
	"encoding/json"
	"fmt"
)

// DoEach is [Store.DoBatch] for a batch of any type: delivery names each element, and
// effect gets those that are first, in their order.
func DoEach[T, Tx any](
	ctx context.Context, store Store[Tx], batch []T, delivery func(T) Delivery, effect func(tx Tx, first []T) error,
) ([]Decision, error) {
	deliveries := make([]Delivery, len(batch))
	for i, element := range batch {
		deliveries[i] = delivery(element)
	}
	return store.DoBatch(ctx, deliveries, func(tx Tx, first []int) error {
		elements := make([]T, len(first))
		for i, at := range first {
			elements[i] = batch[at]
		}
		return effect(tx, elements)
	})
}

// DoAnswer is [Store.DoAnswer] for an answer of any type, which is stored as JSON. The
// first call returns what effect returned, each repeat what was stored of it.
func DoAnswer[T, Tx any](
	ctx context.Context, store Store[Tx], key Key, payload []byte, effect func(tx Tx) (T, error),
) (T, Decision, error) {
	var answer T
	decision, err := store.DoAnswer(ctx, key, payload, func(tx Tx) ([]byte, error) {
		value, err := effect(tx)
		if err != nil {
			return nil, err
		}
		answer = value
		return json.Marshal(value)
	})
	if err != nil || decision.Kind != Repeat {
		if err != nil {
			answer = *new(T)
		}
		return answer, decision, err
	}
	answer = *new(T)
	if err := json.Unmarshal(decision.Answer, &answer); err != nil {
		return *new(T), decision, fmt.Errorf("idempotency: stored answer of %s: %w", key, err)
	}
	return answer, decision, nil
}
