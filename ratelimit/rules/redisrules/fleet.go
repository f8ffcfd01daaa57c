package redisrules

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bulwark-go/bulwark/ratelimit/rules/rollout"
)

var (
	//go:embed acknowledge.lua
	acknowledgeSource string
	//go:embed instances.lua
	instancesSource string

	acknowledge = redis.NewScript(acknowledgeSource)
	instances   = redis.NewScript(instancesSource)
)

// defaultSilence is after how long without a word a subscription is asked whether it
// is still there, and given up if it does not answer in as long again.
const defaultSilence = 5 * time.Second

// Watch implements [rollout.Fleet], by a subscription.
func (s *Store) Watch(ctx context.Context, changed func()) error {
	sub := s.rdb.Subscribe(ctx, s.channel)
	// A read that waits does not look at the context.
	stop := context.AfterFunc(ctx, func() { _ = sub.Close() })
	defer func() {
		stop()
		_ = sub.Close() // twice is harmless
	}()
	asked := false
	for {
		message, err := sub.ReceiveTimeout(ctx, s.silence)
		var waited net.Error
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			asked = false
			if _, pong := message.(*redis.Pong); !pong {
				changed()
			}
		case errors.As(err, &waited) && waited.Timeout() && !asked:
			if err := sub.Ping(ctx); err != nil {
				return storeError(err)
			}
			asked = true
		default:
			return storeError(err)
		}
	}
}

// status is an Instance in JSON.
type status struct {
	Revision uint64 `json:"revision"`
	Problem  string `json:"problem,omitempty"`
}

// Acknowledge implements [rollout.Fleet].
func (s *Store) Acknowledge(ctx context.Context, i rollout.Instance, life time.Duration) error {
	document, err := json.Marshal(status{i.Revision, i.Problem})
	if err != nil {
		return fmt.Errorf("redisrules: %w", err)
	}
	err = acknowledge.Run(ctx, s.rdb, []string{s.instances}, i.Name, life.Microseconds(), document).Err()
	if err != nil {
		return storeError(err)
	}
	return nil
}

// Instances implements [rollout.Fleet].
func (s *Store) Instances(ctx context.Context) ([]rollout.Instance, error) {
	reply, err := instances.Run(ctx, s.rdb, []string{s.instances}).StringSlice()
	if err != nil {
		return nil, storeError(err)
	}
	var list []rollout.Instance
	for part := range slices.Chunk(reply, 3) {
		if len(part) < 3 {
			return nil, fmt.Errorf("redisrules: the script's answer has %d parts", len(reply))
		}
		var st status
		seen, err := strconv.ParseInt(part[1], 10, 64)
		if err := errors.Join(err, json.Unmarshal([]byte(part[2]), &st)); err != nil {
			return nil, fmt.Errorf("redisrules: instance %q: %w", part[0], err)
		}
		list = append(list, rollout.Instance{
			Name: part[0], Revision: st.Revision, Problem: st.Problem, Seen: time.UnixMicro(seen).UTC(),
		})
	}
	slices.SortFunc(list, func(a, b rollout.Instance) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}
