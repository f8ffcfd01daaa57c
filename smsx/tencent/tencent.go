// Package tencent sends through Tencent Cloud's short message service (version
// 2021-01-11), with requests signed by TC3-HMAC-SHA256.
//
// The vendor takes 200 numbers in a request, which must all be of mainland China or
// all of elsewhere, and answers for each of them; other messages are split. It does
// not know a request again, so that an answer that got lost leaves the outcome
// unknown. Message.ID travels as SessionContext, for the vendor's receipts, unless it
// is over 512 bytes long. Templates count their arguments: the order of Message.Args
// is what matters.
package tencent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/bulwark-go/bulwark/smsx"
	"github.com/bulwark-go/bulwark/smsx/internal/vendor"
)

// MaxBatch is how many numbers the vendor takes in one request.
const MaxBatch = 200

// maxContext is how many bytes of a reference the vendor takes.
const maxContext = 512

// Config holds the settings. The keys, AppID and Endpoint are required.
type Config struct {
	// Name is the provider's name in receipts; "tencent" by default.
	Name string
	// Endpoint is scheme and host, "https://sms.tencentcloudapi.com" for one.
	Endpoint string
	// Region is where the account is served; "ap-guangzhou" by default.
	Region string
	// SecretID and SecretKey sign requests.
	SecretID, SecretKey string
	// AppID is the vendor's id of the application: SmsSdkAppId.
	AppID string
	// SignName is the signature that the account was granted; numbers of the mainland
	// need one.
	SignName string
}

// String leaves the secret out.
func (c Config) String() string { return fmt.Sprintf("tencent.Config(%s, %s)", c.Name, c.Endpoint) }

// Format leaves the secret out whatever the verb.
func (c Config) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(c.String())) }

// Service is the adapter. Make it with [New]. It is safe for concurrent use.
type Service struct {
	cfg      Config
	endpoint string
	client   *http.Client
}

// New returns the adapter. It uses a copy of client that follows no redirects; nil
// means one that gives up after 10 s. Its error names each bad setting.
func New(cfg Config, client *http.Client) (*Service, error) {
	if cfg.Name == "" {
		cfg.Name = "tencent"
	}
	if cfg.Region == "" {
		cfg.Region = "ap-guangzhou"
	}
	u, err := vendor.Endpoint("tencent", cfg.Endpoint)
	errs := []error{err}
	for _, f := range []struct{ name, value string }{
		{"SecretID", cfg.SecretID}, {"SecretKey", cfg.SecretKey}, {"AppID", cfg.AppID},
	} {
		if f.value == "" {
			errs = append(errs, fmt.Errorf("tencent: %s is empty", f.name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &Service{cfg: cfg, endpoint: u.String() + "/", client: vendor.Client(client)}, nil
}

// Send implements [smsx.Service].
func (s *Service) Send(ctx context.Context, m smsx.Message) (smsx.Receipt, error) {
	rejected := smsx.Same(m, smsx.Result{Outcome: smsx.Rejected, Provider: s.cfg.Name})
	if err := m.Check(time.Now()); err != nil {
		return rejected, err
	}
	if err := ctx.Err(); err != nil {
		return rejected, rejected.Err(err)
	}
	return vendor.Batches(m, s.cfg.Name, MaxBatch, abroad, func(part smsx.Message) ([]smsx.Result, error) { return s.send(ctx, part) })
}

// abroad tells whether a number is outside of the mainland.
func abroad(n smsx.Number) bool { return !strings.HasPrefix(n.E164(), "+86") }

// answer is what the vendor says, in failures as in success.
type answer struct {
	Response struct {
		Error         *struct{ Code string }
		SendStatusSet []status
	}
}

type status struct{ SerialNo, PhoneNumber, Code string }

func (s *Service) send(ctx context.Context, m smsx.Message) ([]smsx.Result, error) {
	same := func(r smsx.Result) []smsx.Result {
		r.Provider = s.cfg.Name
		return smsx.Same(m, r).Results
	}
	req, err := s.request(ctx, m)
	if err != nil {
		return same(smsx.Result{Outcome: smsx.Rejected}), err
	}
	body, outcome, err := vendor.Do(s.client, req)
	if err != nil {
		return same(smsx.Result{Outcome: outcome, Reason: smsx.ReasonDown}), err
	}
	var a answer
	err = json.Unmarshal(body, &a)
	switch {
	case err != nil || a.Response.Error == nil && len(a.Response.SendStatusSet) == 0:
		return same(smsx.Result{Reason: smsx.ReasonDown}), errors.New("tencent: the answer is not the service's")
	case a.Response.Error != nil:
		r := smsx.Result{Code: a.Response.Error.Code}
		r.Reason, r.Outcome = Classify(r.Code)
		if r.Outcome == smsx.Accepted {
			r.Outcome = smsx.Unknown // an error that says Ok
		}
		return same(r), nil
	}
	return s.results(m, a.Response.SendStatusSet), nil
}

// results puts the statuses in the order of the numbers. A number without one is
// Unknown.
func (s *Service) results(m smsx.Message, statuses []status) []smsx.Result {
	of := make(map[string]status, len(statuses))
	for _, st := range statuses {
		of[st.PhoneNumber] = st
	}
	results := smsx.Same(m, smsx.Result{Provider: s.cfg.Name}).Results
	for i, n := range m.Numbers {
		if st, ok := of[n.E164()]; ok {
			results[i].Code, results[i].MessageID = st.Code, st.SerialNo
			results[i].Reason, results[i].Outcome = Classify(st.Code)
		}
	}
	return results
}

// form is what the vendor is sent.
type form struct {
	PhoneNumberSet   []string
	SmsSdkAppId      string
	SignName         string `json:",omitempty"`
	TemplateId       string
	TemplateParamSet []string
	SessionContext   string `json:",omitempty"`
}

func (s *Service) request(ctx context.Context, m smsx.Message) (*http.Request, error) {
	f := form{SmsSdkAppId: s.cfg.AppID, SignName: s.cfg.SignName, TemplateId: m.Template, TemplateParamSet: []string{}}
	for _, n := range m.Numbers {
		f.PhoneNumberSet = append(f.PhoneNumberSet, n.E164())
	}
	for _, a := range m.Args {
		f.TemplateParamSet = append(f.TemplateParamSet, a.Value)
	}
	if len(m.ID) <= maxContext {
		f.SessionContext = m.ID
	}
	body, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("tencent: encoding the request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.endpoint, strings.NewReader(string(body)))
	if err != nil {
		return nil, fmt.Errorf("tencent: making the request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("X-TC-Action", "SendSms")
	req.Header.Set("X-TC-Version", "2021-01-11")
	req.Header.Set("X-TC-Region", s.cfg.Region)
	Sign(req, body, "sms", s.cfg.SecretID, s.cfg.SecretKey, time.Now())
	return req, nil
}
