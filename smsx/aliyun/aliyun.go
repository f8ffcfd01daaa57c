// Package aliyun sends through Alibaba Cloud's short message service (dysmsapi,
// version 2017-05-25), with requests signed by ACS3-HMAC-SHA256.
//
// The vendor takes 1000 numbers in a request and answers for all of them at once;
// longer messages are split. It does not know a request again, so that an answer
// that got lost leaves the outcome unknown. Message.ID travels as OutId, for the
// vendor's receipts.
//
// It writes numbers without a plus sign and takes those of mainland China without
// their country code, too, so that a number of North America reads like one of a
// stranger there. Such numbers are not sent: they are Rejected, for another vendor to
// take.
package aliyun

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/bulwark-go/bulwark/smsx"
	"github.com/bulwark-go/bulwark/smsx/internal/vendor"
)

// MaxBatch is how many numbers the vendor takes in one request.
const MaxBatch = 1000

// Config holds the settings. The keys, SignName and Endpoint are required.
type Config struct {
	// Name is the provider's name in receipts; "aliyun" by default.
	Name string
	// Endpoint is scheme and host, "https://dysmsapi.aliyuncs.com" for one.
	Endpoint string
	// AccessKeyID and AccessKeySecret sign requests.
	AccessKeyID, AccessKeySecret string
	// SignName is the signature that the account was granted.
	SignName string
}

// String leaves the secret out.
func (c Config) String() string { return fmt.Sprintf("aliyun.Config(%s, %s)", c.Name, c.Endpoint) }

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
		cfg.Name = "aliyun"
	}
	u, err := vendor.Endpoint("aliyun", cfg.Endpoint)
	errs := []error{err}
	for _, f := range []struct{ name, value string }{
		{"AccessKeyID", cfg.AccessKeyID}, {"AccessKeySecret", cfg.AccessKeySecret}, {"SignName", cfg.SignName},
	} {
		if f.value == "" {
			errs = append(errs, fmt.Errorf("aliyun: %s is empty", f.name))
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
	return vendor.Batches(m, s.cfg.Name, MaxBatch, ambiguous, func(part smsx.Message) ([]smsx.Result, error) {
		if ambiguous(part.Numbers[0]) {
			return smsx.Same(part, smsx.Result{Outcome: smsx.Rejected, Provider: s.cfg.Name, Reason: smsx.ReasonTemplate}).Results, nil
		}
		return s.send(ctx, part)
	})
}

// ambiguous tells whether a number, without its plus sign, is one of the mainland
// without country code: 11 digits of which the first is 1.
func ambiguous(n smsx.Number) bool {
	return strings.HasPrefix(n.E164(), "+1") && len(n.E164()) == len("+13912345678")
}

// answer is what the vendor says, in failures as in success.
type answer struct{ Code, BizId string }

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
	if err := json.Unmarshal(body, &a); err != nil || a.Code == "" {
		return same(smsx.Result{Reason: smsx.ReasonDown}), errors.New("aliyun: the answer is not the service's")
	}
	r := smsx.Result{Code: a.Code, MessageID: a.BizId}
	r.Reason, r.Outcome = Classify(a.Code)
	return same(r), nil
}

func (s *Service) request(ctx context.Context, m smsx.Message) (*http.Request, error) {
	args := make(map[string]string, len(m.Args))
	for _, a := range m.Args {
		args[a.Name] = a.Value
	}
	param, err := json.Marshal(args)
	if err != nil {
		return nil, fmt.Errorf("aliyun: encoding arguments: %w", err)
	}
	numbers := make([]string, len(m.Numbers))
	for i, n := range m.Numbers {
		// The vendor takes country code and number without a plus sign, for numbers of
		// the mainland as for all others.
		numbers[i] = strings.TrimPrefix(n.E164(), "+")
	}
	form := url.Values{
		"PhoneNumbers": {strings.Join(numbers, ",")}, "SignName": {s.cfg.SignName},
		"TemplateCode": {m.Template}, "TemplateParam": {string(param)},
	}
	if m.ID != "" {
		form.Set("OutId", m.ID)
	}
	return s.signed(ctx, "SendSms", form)
}

// signed returns the request for an action. The form is in the body, as a thousand
// numbers are too long for a URL and URLs get logged.
func (s *Service) signed(ctx context.Context, action string, form url.Values) (*http.Request, error) {
	body := form.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.endpoint, strings.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("aliyun: making the request: %w", err)
	}
	req.Header.Set("content-type", "application/x-www-form-urlencoded")
	req.Header.Set("x-acs-action", action)
	req.Header.Set("x-acs-version", "2017-05-25")
	req.Header.Set("x-acs-date", time.Now().UTC().Format("2006-01-02T15:04:05Z"))
	req.Header.Set("x-acs-signature-nonce", rand.Text())
	Sign(req, []byte(body), s.cfg.AccessKeyID, s.cfg.AccessKeySecret)
	return req, nil
}
