package tencent_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/smsx"
	"github.com/bulwark-go/bulwark/smsx/fake"
	"github.com/bulwark-go/bulwark/smsx/smsxtest"
	"github.com/bulwark-go/bulwark/smsx/tencent"
)

func service(endpoint, id, key string) (smsx.Service, error) {
	return tencent.New(tencent.Config{Endpoint: endpoint, SecretID: id, SecretKey: key, AppID: "1400000000", SignName: "sign"}, nil)
}

func TestConformance(t *testing.T) {
	smsxtest.TestVendor(t, smsxtest.Adapter{
		Fake: fake.NewTencent, New: service, MaxBatch: tencent.MaxBatch, Classify: tencent.Classify,
		Codes: map[smsx.Reason][]string{
			smsx.ReasonAccepted:     {"Ok"},
			smsx.ReasonNumber:       {"FailedOperation.PhoneNumberInBlacklist", "InvalidParameterValue.IncorrectPhoneNumber"},
			smsx.ReasonNumberLimit:  {"LimitExceeded.PhoneNumberThirtySecondLimit", "LimitExceeded.PhoneNumberSameContentDailyLimit"},
			smsx.ReasonAccountLimit: {"LimitExceeded.AppDailyLimit", "RequestLimitExceeded", "RequestLimitExceeded.IPLimitExceeded"},
			smsx.ReasonTemplate:     {"FailedOperation.TemplateIncorrectOrUnapproved", "FailedOperation.MarketingSendTimeConstraint"},
			smsx.ReasonBalance:      {"FailedOperation.InsufficientBalanceInSmsPackage", "UnauthorizedOperation.SerivceSuspendDueToArrears"},
			smsx.ReasonAuth:         {"AuthFailure.SignatureFailure", "UnauthorizedOperation.SmsSdkAppIdVerifyFail"},
			smsx.ReasonDown:         {"ServiceUnavailable", "InternalError.Timeout", "InternalError.SendAndRecvFail"},
		},
		Maybe: []string{"InternalError", "InternalError.Timeout", "InternalError.SendAndRecvFail"},
	})
}

func TestSignatureOfTheVendorsWorkedExample(t *testing.T) {
	const id, key = "AKID********************************", "********************************" // as published
	body := `{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}`
	req, err := http.NewRequest(http.MethodPost, "https://cvm.tencentcloudapi.com", nil)
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("X-TC-Action", "DescribeInstances")
	tencent.Sign(req, []byte(body), "cvm", id, key, time.Unix(1551113065, 0))
	require.Equal(t, "TC3-HMAC-SHA256 Credential="+id+"/2019-02-25/cvm/tc3_request, SignedHeaders=content-type;host;x-tc-action, "+
		"Signature=10b1a37a7301a02ca19a647ad722d5e43b4b3cff309d421d85b46093f6ab6c4f", req.Header.Get("Authorization"))
	require.Equal(t, "1551113065", req.Header.Get("X-TC-Timestamp"))
}

func TestEachNumberHasItsOwnStatus(t *testing.T) {
	v := fake.NewTencent(fake.Config{KeyID: smsxtest.KeyID, Secret: smsxtest.Secret})
	server := httptest.NewServer(v)
	defer server.Close()
	s, err := service(server.URL, smsxtest.KeyID, smsxtest.Secret)
	require.NoError(t, err)
	m := smsxtest.Message(t, 4)
	v.Block(m.Numbers[1].E164(), "FailedOperation.PhoneNumberInBlacklist")
	v.Block(m.Numbers[2].E164(), "InternalError.Timeout")
	receipt, err := s.Send(t.Context(), m)
	require.ErrorIs(t, err, smsx.ErrUnknown)
	var got []smsx.Outcome
	for _, r := range receipt.Results {
		got = append(got, r.Outcome)
	}
	require.Equal(t, []smsx.Outcome{smsx.Accepted, smsx.Rejected, smsx.Unknown, smsx.Accepted}, got)
	require.NotEqual(t, receipt.Results[0].MessageID, receipt.Results[3].MessageID)
}

func TestANumberWithoutAStatusIsUnknown(t *testing.T) {
	m := smsxtest.Message(t, 2)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"Response":{"SendStatusSet":[{"SerialNo":"1","PhoneNumber":%q,"Code":"Ok"}]}}`, m.Numbers[1].E164())
	}))
	defer server.Close()
	s, err := service(server.URL, smsxtest.KeyID, smsxtest.Secret)
	require.NoError(t, err)
	receipt, err := s.Send(t.Context(), m)
	require.ErrorIs(t, err, smsx.ErrUnknown)
	require.Equal(t, smsx.Unknown, receipt.Results[0].Outcome)
	require.Equal(t, smsx.Accepted, receipt.Results[1].Outcome)
}

func TestBadSettingsAreNamedAndSecretsHidden(t *testing.T) {
	_, err := tencent.New(tencent.Config{Endpoint: "nowhere"}, nil)
	for _, name := range []string{"Endpoint", "SecretID", "SecretKey", "AppID"} {
		require.ErrorContains(t, err, name)
	}
	cfg := tencent.Config{SecretKey: smsxtest.Secret}
	require.NotContains(t, fmt.Sprintf("%#v %+v %d", cfg, cfg, cfg), smsxtest.Secret)
}

func ExampleNew() {
	svc, err := tencent.New(tencent.Config{
		Endpoint: "https://sms.tencentcloudapi.com", SecretID: "id", SecretKey: "key", AppID: "1400006666", SignName: "Bulwark",
	}, nil)
	fmt.Println(svc != nil, err)
	// Output: true <nil>
}
