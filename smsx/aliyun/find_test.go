package aliyun_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/failover/async"
	"github.com/bulwark-go/bulwark/smsx"
	"github.com/bulwark-go/bulwark/smsx/aliyun"
	"github.com/bulwark-go/bulwark/smsx/chain"
	"github.com/bulwark-go/bulwark/smsx/fake"
	"github.com/bulwark-go/bulwark/smsx/smsxtest"
)

// served is a vendor and an adapter that gives up soon.
func served(t *testing.T, timeout time.Duration) (*fake.Vendor, *aliyun.Service) {
	t.Helper()
	v := fake.NewAliyun(fake.Config{KeyID: "id", Secret: "secret"})
	server := httptest.NewServer(v)
	t.Cleanup(server.Close)
	client := &http.Client{Timeout: timeout}
	t.Cleanup(client.CloseIdleConnections)
	s, err := aliyun.New(aliyun.Config{Endpoint: server.URL, AccessKeyID: "id", AccessKeySecret: "secret", SignName: "sign"}, client)
	require.NoError(t, err)
	return v, s
}

func TestWhatTheVendorHasOnRecordIsFoundByItsID(t *testing.T) {
	v, s := served(t, time.Minute)
	m := smsxtest.Message(t, 1)
	for i := range 60 { // two pages
		m.ID = fmt.Sprint("m", i)
		_, err := s.Send(t.Context(), m)
		require.NoError(t, err)
	}
	sent := v.Requests()
	for id, want := range map[string]smsx.Outcome{"m0": smsx.Accepted, "m59": smsx.Accepted, "m60": smsx.Unknown} {
		m.ID = id
		found, err := s.Find(t.Context(), m)
		require.NoError(t, err)
		require.Equal(t, want, found, id)
	}
	m.ID, m.Numbers = "m0", smsxtest.Message(t, 2).Numbers[1:]
	found, err := s.Find(t.Context(), m)
	require.NoError(t, err)
	require.Equal(t, smsx.Unknown, found, "of another number")
	require.Equal(t, sent, v.Requests(), "nothing more is sent")

	m.ID = ""
	_, err = s.Find(t.Context(), m)
	require.ErrorContains(t, err, "ID")
	m = smsxtest.Message(t, 2)
	m.ID = "m0"
	_, err = s.Find(t.Context(), m)
	require.ErrorContains(t, err, "one number")
}

// The vendor's words for what became of a message.
func TestRecordsReadAsOutcomes(t *testing.T) {
	for status, want := range map[int]smsx.Outcome{1: smsx.Accepted, 2: smsx.Rejected, 3: smsx.Accepted, 7: smsx.Unknown} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprintf(w, `{"Code":"OK","SmsSendDetailDTOs":{"SmsSendDetailDTO":[{"OutId":"m","SendStatus":%d}]}}`, status)
		}))
		s, err := aliyun.New(aliyun.Config{Endpoint: server.URL, AccessKeyID: "id", AccessKeySecret: "secret", SignName: "sign"}, nil)
		require.NoError(t, err)
		m := smsxtest.Message(t, 1)
		m.ID = "m"
		found, err := s.Find(t.Context(), m)
		server.Close()
		require.NoError(t, err)
		require.Equal(t, want, found, "status %d", status)
	}
	for _, answer := range []string{"", "{}", `{"Code":"isv.INVALID_PARAMETERS"}`} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(answer)) }))
		s, err := aliyun.New(aliyun.Config{Endpoint: server.URL, AccessKeyID: "id", AccessKeySecret: "secret", SignName: "sign"}, nil)
		require.NoError(t, err)
		m := smsxtest.Message(t, 1)
		m.ID = "m"
		found, err := s.Find(t.Context(), m)
		server.Close()
		require.Error(t, err, answer)
		require.Equal(t, smsx.Unknown, found)
	}
}

// A vendor that sent and never said so is asked, and nobody gets the message twice; one
// that has no record leaves it unknown.
func TestAnUnknownOutcomeIsFoundOutFromTheVendor(t *testing.T) {
	v, s := served(t, 500*time.Millisecond)
	store := async.NewMemory()
	r, err := chain.NewRescue(s, store, chain.RescueConfig{Config: async.Config{
		Name: "sms", SendTimeout: time.Second, CheckAfter: time.Second, MaxBackoff: time.Second,
		Backoff: time.Second, Poll: 10 * time.Millisecond,
	}}, chain.Reconcile(s))
	require.NoError(t, err)
	m := smsxtest.Message(t, 1)
	m.ID = "only"
	require.NoError(t, v.Set(fake.Fault{Kind: fake.Silent}))
	_, err = r.Send(t.Context(), m)
	require.ErrorIs(t, err, smsx.ErrUnknown)
	require.NoError(t, v.Set(fake.Fault{}))

	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	require.Eventually(t, func() bool {
		stats, err := r.Queue(smsx.AtMostOnce).Stats(ctx)
		return err == nil && stats.Depth[async.Delivered] == 1
	}, time.Minute, 20*time.Millisecond)
	stop()
	require.NoError(t, <-ended)
	require.Equal(t, 1, v.Count(m.Numbers[0].E164()))
	require.Equal(t, 1, v.Requests())
}
