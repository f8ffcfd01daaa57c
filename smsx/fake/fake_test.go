package fake_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/smsx"
	"github.com/bulwark-go/bulwark/smsx/aliyun"
	"github.com/bulwark-go/bulwark/smsx/fake"
	"github.com/bulwark-go/bulwark/smsx/smsxtest"
	"github.com/bulwark-go/bulwark/smsx/tencent"
)

// pairs are both vendors with their adapters.
func pairs(t *testing.T, cfg fake.Config, test func(*testing.T, *fake.Vendor, smsx.Service)) {
	t.Run("aliyun", func(t *testing.T) {
		v := fake.NewAliyun(cfg)
		server := httptest.NewServer(v)
		defer server.Close()
		s, err := aliyun.New(aliyun.Config{Endpoint: server.URL, AccessKeyID: "id", AccessKeySecret: "secret", SignName: "sign"}, nil)
		require.NoError(t, err)
		test(t, v, s)
	})
	t.Run("tencent", func(t *testing.T) {
		v := fake.NewTencent(cfg)
		server := httptest.NewServer(v)
		defer server.Close()
		s, err := tencent.New(tencent.Config{Endpoint: server.URL, SecretID: "id", SecretKey: "secret", AppID: "app", SignName: "sign"}, nil)
		require.NoError(t, err)
		test(t, v, s)
	})
}

func TestEveryFaultShowsAsWhatItIs(t *testing.T) {
	cases := map[fake.Fault]struct {
		outcome smsx.Outcome
		sent    int
	}{
		{}: {smsx.Accepted, 1},
		{Kind: fake.Slow, Delay: time.Millisecond}: {smsx.Accepted, 1},
		{Kind: fake.Lying}:                         {smsx.Accepted, 0},
		{Kind: fake.Down}:                          {smsx.Rejected, 0},
		{Kind: fake.Refusing, Code: "Never.Seen"}:  {smsx.Unknown, 0},
		{Kind: fake.Garbled}:                       {smsx.Unknown, 1},
	}
	pairs(t, fake.Config{}, func(t *testing.T, v *fake.Vendor, s smsx.Service) {
		for fault, want := range cases {
			v.Reset()
			require.NoError(t, v.Set(fault))
			require.Equal(t, fault, v.Fault())
			_, err := s.Send(t.Context(), smsxtest.Message(t, 1))
			require.Equal(t, want.outcome, smsx.OutcomeOf(err), fault.Kind)
			require.Len(t, v.Sent(), want.sent, fault.Kind)
			require.Equal(t, 1, v.Requests())
		}
	})
}

func TestASlowVendorSendsBeforeItAnswers(t *testing.T) {
	pairs(t, fake.Config{}, func(t *testing.T, v *fake.Vendor, s smsx.Service) {
		require.NoError(t, v.Set(fake.Fault{Kind: fake.Slow, Delay: time.Hour}))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { _, err := s.Send(ctx, smsxtest.Message(t, 1)); done <- err }()
		require.Eventually(t, func() bool { return len(v.Sent()) == 1 }, time.Minute, time.Millisecond)
		cancel()
		require.ErrorIs(t, <-done, smsx.ErrUnknown)
	})
}

func TestAShareOfRequestsMeetsTheFault(t *testing.T) {
	pairs(t, fake.Config{}, func(t *testing.T, v *fake.Vendor, s smsx.Service) {
		require.NoError(t, v.Set(fake.Fault{Kind: fake.Down, Share: 0.5}))
		failed := 0
		for range 200 {
			if _, err := s.Send(t.Context(), smsxtest.Message(t, 1)); err != nil {
				failed++
			}
		}
		require.InDelta(t, 100, failed, 60) // 8 standard deviations
	})
}

func TestANumberWaitsForItsNextMessage(t *testing.T) {
	pairs(t, fake.Config{Gap: time.Hour}, func(t *testing.T, v *fake.Vendor, s smsx.Service) {
		_, err := s.Send(t.Context(), smsxtest.Message(t, 1))
		require.NoError(t, err)
		receipt, err := s.Send(t.Context(), smsxtest.Message(t, 1))
		require.ErrorIs(t, err, smsx.ErrRejected)
		require.Equal(t, smsx.ReasonNumberLimit, receipt.Results[0].Reason)
		v.Block(smsxtest.Number(t, 1).E164(), "Never.Seen")
		m := smsxtest.Message(t, 2)
		m.Numbers = m.Numbers[1:]
		_, err = s.Send(t.Context(), m)
		require.ErrorIs(t, err, smsx.ErrUnknown)
		v.Block(smsxtest.Number(t, 1).E164(), "")
		_, err = s.Send(t.Context(), m)
		require.NoError(t, err)
	})
}

func TestBadFaultsAreRefused(t *testing.T) {
	v := fake.NewAliyun(fake.Config{})
	require.NoError(t, v.Set(fake.Fault{Kind: fake.Down}))
	for _, bad := range []fake.Fault{{Kind: 99}, {Kind: fake.Slow}, {Kind: fake.Refusing}, {Share: 2}, {Share: -1}, {Delay: -1}} {
		require.Error(t, v.Set(bad))
	}
	require.Equal(t, fake.Down, v.Fault().Kind)
	var k fake.Kind
	require.NoError(t, k.UnmarshalText([]byte("lying")))
	require.Equal(t, fake.Lying, k)
	require.Error(t, k.UnmarshalText([]byte("ill")))
}

func example(v *fake.Vendor, svc func(endpoint string) (smsx.Service, error)) {
	server := httptest.NewServer(v)
	defer server.Close()
	s, err := svc(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	number, _ := smsx.ParseNumber("+8613912345678")
	m := smsx.Message{Template: "SMS_1", Args: []smsx.Arg{{Name: "code", Value: "493817"}}, Numbers: []smsx.Number{number}}
	_, err = s.Send(context.Background(), m)
	fmt.Println(err, v.Sent()[0].Number, v.Sent()[0].Params)
	_ = v.Set(fake.Fault{Kind: fake.Down})
	receipt, _ := s.Send(context.Background(), m)
	fmt.Println(receipt.Results[0].Outcome, receipt.Results[0].Reason)
}

func ExampleNewAliyun() {
	example(fake.NewAliyun(fake.Config{KeyID: "id", Secret: "secret"}), func(endpoint string) (smsx.Service, error) {
		return aliyun.New(aliyun.Config{Endpoint: endpoint, AccessKeyID: "id", AccessKeySecret: "secret", SignName: "Bulwark"}, nil)
	})
	// Output:
	// <nil> +8613912345678 map[code:493817]
	// rejected down
}

func ExampleNewTencent() {
	example(fake.NewTencent(fake.Config{KeyID: "id", Secret: "key"}), func(endpoint string) (smsx.Service, error) {
		return tencent.New(tencent.Config{Endpoint: endpoint, SecretID: "id", SecretKey: "key", AppID: "app", SignName: "Bulwark"}, nil)
	})
	// Output:
	// <nil> +8613912345678 map[1:493817]
	// rejected down
}
