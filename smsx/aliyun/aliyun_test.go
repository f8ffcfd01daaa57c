package aliyun_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/smsx"
	"github.com/bulwark-go/bulwark/smsx/aliyun"
	"github.com/bulwark-go/bulwark/smsx/fake"
	"github.com/bulwark-go/bulwark/smsx/smsxtest"
)

func TestConformance(t *testing.T) {
	smsxtest.TestVendor(t, smsxtest.Adapter{
		Fake: fake.NewAliyun,
		New: func(endpoint, id, secret string) (smsx.Service, error) {
			return aliyun.New(aliyun.Config{Endpoint: endpoint, AccessKeyID: id, AccessKeySecret: secret, SignName: "sign"}, nil)
		},
		MaxBatch: aliyun.MaxBatch, Classify: aliyun.Classify,
		Codes: map[smsx.Reason][]string{
			smsx.ReasonAccepted:     {"OK"},
			smsx.ReasonNumber:       {"isv.MOBILE_NUMBER_ILLEGAL", "isv.BLACK_KEY_CONTROL_LIMIT", "isv.CUSTOMER_REFUSED"},
			smsx.ReasonNumberLimit:  {"isv.BUSINESS_LIMIT_CONTROL"},
			smsx.ReasonAccountLimit: {"isv.DAY_LIMIT_CONTROL", "isv.MONTH_LIMIT_CONTROL", "Throttling", "Throttling.User", "Throttling.Api"},
			smsx.ReasonTemplate:     {"isv.SMS_TEMPLATE_ILLEGAL", "isv.TEMPLATE_MISSING_PARAMETERS", "isv.SMS_SIGNATURE_SCENE_ILLEGAL"},
			smsx.ReasonBalance:      {"isv.AMOUNT_NOT_ENOUGH", "isv.OUT_OF_SERVICE"},
			smsx.ReasonAuth:         {"SignatureDoesNotMatch", "isp.RAM_PERMISSION_DENY", "isv.PRODUCT_UN_SUBSCRIPT"},
			smsx.ReasonDown:         {"ServiceUnavailable", "isp.SYSTEM_ERROR", "isp.GATEWAY_ERROR", "InternalError"},
		},
		Maybe: []string{"isp.SYSTEM_ERROR", "isp.GATEWAY_ERROR", "InternalError"},
	})
}

func TestSignatureOfTheVendorsWorkedExample(t *testing.T) {
	req, err := http.NewRequest(http.MethodPost, "https://ecs.cn-shanghai.aliyuncs.com/?ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai", nil)
	require.NoError(t, err)
	req.Header.Set("x-acs-action", "RunInstances")
	req.Header.Set("x-acs-version", "2014-05-26")
	req.Header.Set("x-acs-date", "2023-10-26T10:22:32Z")
	req.Header.Set("x-acs-signature-nonce", "3156853299f313e23d1673dc12e1703d")
	aliyun.Sign(req, nil, "YourAccessKeyId", "YourAccessKeySecret")
	require.Equal(t, "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,"+
		"SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version,"+
		"Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0", req.Header.Get("Authorization"))
}

func TestANumberThatReadsLikeAStrangersIsNotSent(t *testing.T) {
	v := fake.NewAliyun(fake.Config{})
	server := httptest.NewServer(v)
	defer server.Close()
	s, err := aliyun.New(aliyun.Config{Endpoint: server.URL, AccessKeyID: "id", AccessKeySecret: "secret", SignName: "sign"}, nil)
	require.NoError(t, err)
	m := smsxtest.Message(t, 1)
	american, err := smsx.ParseNumber("+13125550142")
	require.NoError(t, err)
	m.Numbers = []smsx.Number{american, m.Numbers[0]}
	receipt, err := s.Send(t.Context(), m)
	require.ErrorIs(t, err, smsx.ErrPartial)
	require.Equal(t, smsx.Rejected, receipt.Results[0].Outcome)
	require.True(t, receipt.Results[0].Reason.Elsewhere())
	require.False(t, smsx.Fault(err))
	require.Equal(t, smsx.Accepted, receipt.Results[1].Outcome)
	require.Len(t, v.Sent(), 1)
	require.Zero(t, v.Count("+8613125550142"))
}

func TestBadSettingsAreNamedAndSecretsHidden(t *testing.T) {
	_, err := aliyun.New(aliyun.Config{Endpoint: "http://x/path"}, nil)
	for _, name := range []string{"Endpoint", "AccessKeyID", "AccessKeySecret", "SignName"} {
		require.ErrorContains(t, err, name)
	}
	cfg := aliyun.Config{AccessKeySecret: smsxtest.Secret}
	require.NotContains(t, fmt.Sprintf("%#v %+v %d", cfg, cfg, cfg), smsxtest.Secret)
}

func ExampleNew() {
	svc, err := aliyun.New(aliyun.Config{
		Endpoint: "https://dysmsapi.aliyuncs.com", AccessKeyID: "id", AccessKeySecret: "secret", SignName: "Bulwark",
	}, nil)
	fmt.Println(svc != nil, err)
	// Output: true <nil>
}
