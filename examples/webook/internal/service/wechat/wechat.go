// Package wechat logs people in with WeChat: the web flow of its OAuth2, in which
// WeChat sends the browser back with a code, and the server trades the code for
// who that was.
package wechat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
	"github.com/bulwark-go/bulwark/logger"
)

// ErrCode means that WeChat does not know the code: used before, too old, or made
// up. It is the visitor's mistake, or an attack.
var ErrCode = errors.New("wechat: code refused")

// Error is WeChat's own word on a failure that is not the visitor's: our id or
// secret is wrong, or its system is busy.
type Error struct {
	Code int
	Msg  string
}

func (e *Error) Error() string { return fmt.Sprintf("wechat: errcode %d: %s", e.Code, e.Msg) }

// The errcodes that speak of the code, as WeChat documents them.
const (
	invalidCode = 40029
	codeUsed    = 40163
	codeExpired = 42003
)

// Config says who we are and where WeChat is.
type Config struct {
	AppID  string
	Secret logger.Secret
	// AuthURL is where visitors are sent, APIURL where codes are traded.
	AuthURL, APIURL string
	// RedirectURL is where WeChat sends visitors back to.
	RedirectURL string
}

// Doer is the part of *http.Client that a Client uses.
type Doer interface {
	Do(*http.Request) (*http.Response, error)
}

// Client speaks to WeChat. It is safe for concurrent use.
type Client struct {
	cfg  Config
	http Doer
}

// New returns a Client. Deadlines are the caller's: each call takes a context.
func New(cfg Config, client Doer) *Client { return &Client{cfg: cfg, http: client} }

// AuthURL is the page on which a visitor agrees. WeChat sends them back with a
// code and with state.
func (c *Client) AuthURL(state string) string {
	query := url.Values{
		"appid": {c.cfg.AppID}, "redirect_uri": {c.cfg.RedirectURL},
		"response_type": {"code"}, "scope": {"snsapi_login"}, "state": {state},
	}
	return strings.TrimSuffix(c.cfg.AuthURL, "/") + "/connect/qrconnect?" + query.Encode() + "#wechat_redirect"
}

// maxReply bounds what is read of an answer; a right one has some hundred bytes.
const maxReply = 64 << 10

// Exchange trades a code for whose it is. The error wraps [ErrCode] or an [*Error]
// where WeChat says no. It never holds the request's address, which has our secret.
func (c *Client) Exchange(ctx context.Context, code string) (domain.WechatInfo, error) {
	query := url.Values{
		"appid": {c.cfg.AppID}, "secret": {c.cfg.Secret.Reveal()},
		"code": {code}, "grant_type": {"authorization_code"},
	}
	address := strings.TrimSuffix(c.cfg.APIURL, "/") + "/sns/oauth2/access_token?" + query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return domain.WechatInfo{}, fmt.Errorf("wechat: exchange: %w", withoutURL(err))
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return domain.WechatInfo{}, fmt.Errorf("wechat: exchange: %w", withoutURL(err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if err != nil {
		return domain.WechatInfo{}, fmt.Errorf("wechat: exchange: read: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return domain.WechatInfo{}, fmt.Errorf("wechat: exchange: status %d", resp.StatusCode)
	}
	return parse(body)
}

// parse reads an answer. WeChat answers 200 to failures, too.
func parse(body []byte) (domain.WechatInfo, error) {
	var reply struct {
		ErrCode int    `json:"errcode"`
		ErrMsg  string `json:"errmsg"`
		OpenID  string `json:"openid"`
		UnionID string `json:"unionid"`
	}
	if err := json.Unmarshal(body, &reply); err != nil {
		return domain.WechatInfo{}, errors.New("wechat: exchange: the answer is not JSON")
	}
	switch reply.ErrCode {
	case 0:
	case invalidCode, codeUsed, codeExpired:
		return domain.WechatInfo{}, fmt.Errorf("%w: errcode %d", ErrCode, reply.ErrCode)
	default:
		return domain.WechatInfo{}, fmt.Errorf("wechat: exchange: %w", &Error{reply.ErrCode, reply.ErrMsg})
	}
	if reply.OpenID == "" || len(reply.OpenID) > domain.MaxWechatID || len(reply.UnionID) > domain.MaxWechatID {
		return domain.WechatInfo{}, errors.New("wechat: exchange: the answer has no usable openid")
	}
	return domain.WechatInfo{OpenID: reply.OpenID, UnionID: reply.UnionID}, nil
}

// withoutURL drops the address that net/http puts into its errors.
func withoutURL(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}
