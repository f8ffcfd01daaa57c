package chain_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"time"

	"github.com/bulwark-go/bulwark/failover"
	"github.com/bulwark-go/bulwark/failover/async"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/smsx"
	"github.com/bulwark-go/bulwark/smsx/aliyun"
	"github.com/bulwark-go/bulwark/smsx/chain"
	"github.com/bulwark-go/bulwark/smsx/chaos"
	"github.com/bulwark-go/bulwark/smsx/fake"
	"github.com/bulwark-go/bulwark/smsx/memory"
	"github.com/bulwark-go/bulwark/smsx/tencent"
)

// Two vendors, one of which goes down, and then the other one, too.
func ExampleNew() {
	aliVendor, tencentVendor := fake.NewAliyun(fake.Config{}), fake.NewTencent(fake.Config{}) // in place of the real ones
	aliServer, tencentServer := httptest.NewServer(aliVendor), httptest.NewServer(tencentVendor)
	defer aliServer.Close()
	defer tencentServer.Close()

	ali, err := aliyun.New(aliyun.Config{Endpoint: aliServer.URL, AccessKeyID: "id", AccessKeySecret: "secret", SignName: "Bulwark"}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	txc, err := tencent.New(tencent.Config{Endpoint: tencentServer.URL, SecretID: "id", SecretKey: "key", AppID: "app", SignName: "Bulwark"}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	limiter, err := ratelimit.NewTokenBucket(ratelimit.PerSecond(100))
	if err != nil {
		fmt.Println(err)
		return
	}
	judge, err := async.NewJudge(async.JudgeConfig{Name: "sms"}, chain.Verdict)
	if err != nil {
		fmt.Println(err)
		return
	}
	cfg := chain.Config{Name: "sms"}
	cfg.Rescue.Backoff, cfg.Rescue.Poll, cfg.Rescue.MinLeft = 10*time.Millisecond, 5*time.Millisecond, time.Minute
	svc, err := chain.New(cfg, []chain.Provider{{Name: "aliyun", Value: ali}, {Name: "tencent", Value: txc}},
		chain.WithLimit(limiter),
		chain.WithFailover(failover.WithOrder(), failover.WithJudge(async.Crash(async.JudgeConfig{}))),
		chain.WithRescue(async.NewMemory(), async.WithJudge(judge)))
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- svc.Run(ctx) }() // delivers what was stored

	number, _ := smsx.ParseNumber("+8613912345678")
	send := func(id string) {
		receipt, err := svc.Send(ctx, smsx.Message{
			Template: "SMS_1", Args: []smsx.Arg{{Name: "code", Value: "493817"}}, Numbers: []smsx.Number{number},
			ID: id, NotAfter: time.Now().Add(10 * time.Minute),
		})
		fmt.Println(receipt.Results[0].Provider, receipt.Results[0].Outcome, receipt.Results[0].Deferred, err)
	}
	send("1")
	_ = aliVendor.Set(fake.Fault{Kind: fake.Down})
	send("2")
	_ = tencentVendor.Set(fake.Fault{Kind: fake.Down})
	send("3")
	_ = aliVendor.Set(fake.Fault{})
	for range time.Tick(time.Millisecond) {
		if len(aliVendor.Sent()) == 2 {
			break
		}
	}
	fmt.Println("delivered later:", aliVendor.Sent()[1].Ref)
	cancel()
	fmt.Println(<-ended)
	// Output:
	// aliyun accepted false <nil>
	// tencent accepted false <nil>
	// sms accepted true <nil>
	// delivered later: 3
	// <nil>
}

func message() smsx.Message {
	number, _ := smsx.ParseNumber("+8613912345678")
	return smsx.Message{Template: "SMS_1", Numbers: []smsx.Number{number}, ID: "1"}
}

// The three ways to switch: each message begins with another provider; all begin with
// one until it timed out more than three times in a row; the one that its judge takes
// for ill is left alone.
func ExampleNewFailover() {
	providers := func() []chain.Provider {
		ill := chaos.New("first", memory.New("first"))
		_ = ill.Set(chaos.Fault{Kind: chaos.Rejects, Reason: smsx.ReasonDown})
		return []chain.Provider{{Name: "first", Value: ill}, {Name: "second", Value: memory.New("second")}}
	}
	for _, opts := range [][]failover.Option{
		{failover.WithRoundRobin()},
		{failover.WithStickyTimeouts(3)},
		{failover.WithOrder(), failover.WithJudge(async.Crash(async.JudgeConfig{}))},
	} {
		svc, err := chain.NewFailover(failover.Config{Name: "sms"}, providers(), opts...)
		if err != nil {
			fmt.Println(err)
			return
		}
		receipt, err := svc.Send(context.Background(), message())
		fmt.Println(receipt.Results[0].Provider, err)
	}
	// Output:
	// second <nil>
	// second <nil>
	// second <nil>
}

func ExampleNewRetry() {
	shaky := chaos.New("shaky", memory.New("shaky"))
	_ = shaky.Script(chaos.Fault{Kind: chaos.Rejects, Reason: smsx.ReasonDown})
	svc, err := chain.NewRetry(shaky, chain.RetryConfig{Backoff: time.Millisecond})
	if err != nil {
		fmt.Println(err)
		return
	}
	receipt, err := svc.Send(context.Background(), message())
	fmt.Println(receipt.Results[0].Outcome, err)
	// Output: accepted <nil>
}

func ExampleNewRescue() {
	ill := chaos.New("ill", memory.New("ill"))
	_ = ill.Set(chaos.Fault{Kind: chaos.Rejects, Reason: smsx.ReasonBalance})
	svc, err := chain.NewRescue(ill, async.NewMemory(), chain.RescueConfig{Config: async.Config{Name: "sms"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	receipt, err := svc.Send(context.Background(), message())
	fmt.Println(receipt.Results[0].Outcome, receipt.Results[0].Deferred, err)
	// Output: accepted true <nil>
}

func ExampleStack() {
	quota := chain.Layer{Rank: chain.Charging, Wrap: func(next smsx.Service) (smsx.Service, error) { return next, nil }}
	once := chain.Layer{Rank: chain.Deduplicating, Wrap: func(next smsx.Service) (smsx.Service, error) { return next, nil }}
	_, err := chain.Stack(memory.New("desk"), quota, once)
	fmt.Println(err)
	// Output: chain: wrong order: charging outside of deduplicating
}
