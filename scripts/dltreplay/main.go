// Command dltreplay brings records back from a dead-letter topic of package saramax.
// Without -run it only tells what it would do:
//
//	go run ./scripts/dltreplay -brokers kafka:9092 -from orders.billing.dlt -to orders.billing.retry.10s -rate 50
//	go run ./scripts/dltreplay ... -reasons attempts,panic -since 2026-05-01T00:00:00Z -run
//
// It prints how far it came as a value for -start, with which a later run goes on.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"github.com/bulwark-go/bulwark/saramax"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "dltreplay:", err)
		os.Exit(1)
	}
}

// order is what the command line asks for.
type order struct {
	brokers []string
	replay  saramax.ReplayConfig
	reasons []saramax.Reason
	since   time.Time
	until   time.Time
	run     bool
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args, out)
	if err != nil {
		return err
	}
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V2_0_0_0
	cfg.ClientID = "dltreplay"
	cfg.Producer.RequiredAcks = sarama.WaitForAll
	cfg.Producer.Return.Successes = true
	client, err := sarama.NewClient(o.brokers, cfg)
	if err != nil {
		return fmt.Errorf("brokers %v: %w", o.brokers, err)
	}
	defer func() { _ = client.Close() }()
	producer, err := sarama.NewSyncProducerFromClient(client)
	if err != nil {
		return err
	}
	defer func() { _ = producer.Close() }()

	opts := []saramax.ReplayOption{saramax.WithReplayFilter(saramax.FailedBetween(o.since, o.until))}
	if len(o.reasons) > 0 {
		opts = append(opts, saramax.WithReplayFilter(saramax.FailedFor(o.reasons...)))
	}
	replayer, err := saramax.NewReplayer(client, producer, o.replay, opts...)
	if err != nil {
		return err
	}
	replay, verb := replayer.Preview, "would replay"
	if o.run {
		replay, verb = replayer.Run, "replayed"
	}
	report, err := replay(ctx)
	tell(out, verb, report, o.replay)
	return err
}

func parse(args []string, out io.Writer) (o order, err error) {
	flags := flag.NewFlagSet("dltreplay", flag.ContinueOnError)
	flags.SetOutput(out)
	brokers := flags.String("brokers", "", "host:port of brokers, separated by commas")
	flags.StringVar(&o.replay.From, "from", "", "the dead-letter `topic`")
	flags.StringVar(&o.replay.To, "to", "", "the `topic` that gets the records back")
	flags.IntVar(&o.replay.PerSecond, "rate", 0, "how many records a second")
	flags.IntVar(&o.replay.Limit, "limit", 0, "how many records at most; 0 for all")
	flags.DurationVar(&o.replay.Window, "window", 0, "how long handlers remember what they have done; 0 for ever")
	reasons := flags.String("reasons", "", "only what failed for one of these, as attempts,panic")
	since := flags.String("since", "", "only what failed at this RFC 3339 `time` or later")
	until := flags.String("until", "", "only what failed before this RFC 3339 `time`")
	start := flags.String("start", "", "the `offsets` to begin at, as 0:17,1:4")
	flags.BoolVar(&o.run, "run", false, "replay, instead of telling what it would do")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if *brokers == "" || flags.NArg() > 0 {
		return o, fmt.Errorf("-brokers is required, and arguments without a flag (%q) are not understood", flags.Args())
	}
	o.brokers = strings.Split(*brokers, ",")
	var errs [4]error
	o.reasons, errs[0] = reasonsIn(*reasons)
	o.since, errs[1] = timeIn("since", *since)
	o.until, errs[2] = timeIn("until", *until)
	o.replay.Start, errs[3] = offsetsIn(*start)
	return o, errors.Join(errs[:]...)
}

// allReasons are those that records are dead-lettered for.
var allReasons = []saramax.Reason{
	saramax.ReasonPermanent, saramax.ReasonUndecodable, saramax.ReasonAttempts, saramax.ReasonPanic,
	saramax.ReasonStuck, saramax.ReasonBlocked,
}

func reasonsIn(text string) (found []saramax.Reason, err error) {
	if text == "" {
		return nil, nil
	}
	for name := range strings.SplitSeq(text, ",") {
		i := slices.IndexFunc(allReasons, func(r saramax.Reason) bool { return r.String() == name })
		if i < 0 {
			return nil, fmt.Errorf("-reasons: %q is none of %v", name, allReasons)
		}
		found = append(found, allReasons[i])
	}
	return found, nil
}

func timeIn(name, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("-%s: %w", name, err)
	}
	return t, nil
}

func offsetsIn(text string) (map[int32]int64, error) {
	offsets := map[int32]int64{}
	if text == "" {
		return offsets, nil
	}
	for pair := range strings.SplitSeq(text, ",") {
		p, o, _ := strings.Cut(pair, ":")
		partition, err := strconv.ParseInt(p, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("-start: partition in %q: %w", pair, err)
		}
		if offsets[int32(partition)], err = strconv.ParseInt(o, 10, 64); err != nil {
			return nil, fmt.Errorf("-start: offset in %q: %w", pair, err)
		}
	}
	return offsets, nil
}

func tell(out io.Writer, verb string, r saramax.ReplayReport, cfg saramax.ReplayConfig) {
	fmt.Fprintf(out, "%s %d of %d records from %s to %s\n", verb, r.Kept, r.Read, cfg.From, cfg.To)
	for _, reason := range allReasons {
		if n := r.ByReason[reason]; n > 0 {
			fmt.Fprintf(out, "  %s: %d\n", reason, n)
		}
	}
	if r.Foreign > 0 {
		fmt.Fprintf(out, "left out %d without an identity\n", r.Foreign)
	}
	if r.Old > 0 {
		fmt.Fprintf(out, "WARNING: %d failed more than %v ago (the first at %s): handlers may not recognise what they have done\n",
			r.Old, cfg.Window, r.Oldest.Format(time.RFC3339))
	}
	var next []string
	for partition, offset := range r.Next {
		next = append(next, fmt.Sprintf("%d:%d", partition, offset))
	}
	slices.Sort(next)
	if len(next) > 0 {
		fmt.Fprintf(out, "go on with -start %s\n", strings.Join(next, ","))
	}
}
