package ioc

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/redis/go-redis/v9"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
	"github.com/bulwark-go/bulwark/examples/webook/config"
	"github.com/bulwark-go/bulwark/examples/webook/console"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository"
	"github.com/bulwark-go/bulwark/examples/webook/internal/service"
	"github.com/bulwark-go/bulwark/examples/webook/internal/service/wechat"
	"github.com/bulwark-go/bulwark/examples/webook/internal/service/wechat/fakewechat"
	"github.com/bulwark-go/bulwark/examples/webook/internal/web"
	"github.com/bulwark-go/bulwark/ginx/session"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/observe"
)

// Wechat returns the routes of the login with WeChat. Without an app id there are
// none, unless everything is embedded: then there is a WeChat, too, and callback is
// where the app itself can be reached.
func Wechat(ctx context.Context, c *Closers, live *config.Live, users *repository.Users, rdb *redis.Client, sessions *session.Manager, callback string, breakers *console.Breakers, observer observe.Observer) (Routes, error) {
	cfg := live.Get().Wechat
	if cfg.AppID == "" && live.Get().DB.Driver != "" {
		return none{}, nil
	}
	if cfg.AppID == "" {
		if err := embedWechat(ctx, c, &cfg, callback); err != nil {
			return nil, err
		}
	}
	breaker, err := circuitbreaker.New(circuitbreaker.Config{Name: "wechat"},
		circuitbreaker.WithDetector(detect.ErrorRate(0.5, 20)), circuitbreaker.WithClassifier(service.WechatOutcome),
		circuitbreaker.WithObserver(observer))
	if err != nil {
		return nil, err
	}
	breakers.Add("the login with WeChat", breaker)
	client := &http.Client{
		// Our secret is in the address: it must not follow anybody elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	c.AddClose("wechat client", func() error { client.CloseIdleConnections(); return nil })
	states := repository.NewLoginStates(rdb, cfg.StateTTL, func() time.Duration { return live.Get().Users.CacheTimeout })
	logins := service.NewWechatLogin(users, states, wechat.New(wechat.Config{
		AppID: cfg.AppID, Secret: cfg.Secret, AuthURL: cfg.AuthURL, APIURL: cfg.APIURL, RedirectURL: cfg.RedirectURL,
	}, client), circuitbreaker.Observe(breaker, "wechat", observer), cfg.Timeout)
	return web.NewWechat(logins, sessions, web.CookiePolicy{
		Key: derivedKey(live.Get().Session, "oauth2 state"), TTL: cfg.StateTTL, Insecure: cfg.InsecureCookie,
	}), nil
}

// embedWechat starts a WeChat for the demo and lets cfg name it.
func embedWechat(ctx context.Context, c *Closers, cfg *config.Wechat, callback string) error {
	const appID = "demo"
	secret := rand.Text()
	addr, err := embed(ctx, c, "embedded wechat", fakewechat.New(appID, secret))
	if err != nil {
		return err
	}
	cfg.AppID, cfg.Secret = appID, logger.NewSecret(secret)
	cfg.AuthURL, cfg.APIURL = "http://"+addr, "http://"+addr
	cfg.RedirectURL = callback
	return nil
}

// embed serves h on a free port of this machine until the app stops.
func embed(ctx context.Context, c *Closers, name string, h http.Handler) (addr string, err error) {
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	c.AddClose(name, func() error {
		err := server.Close()
		if failed := <-served; !errors.Is(failed, http.ErrServerClosed) {
			err = errors.Join(err, failed)
		}
		return err
	})
	return l.Addr().String(), nil
}

// derivedKey is one key for each purpose, and for all instances that share the
// sessions' keys.
func derivedKey(cfg config.Session, purpose string) []byte {
	mac := hmac.New(sha256.New, keyOrNew(cfg.AccessKey.Reveal()))
	mac.Write([]byte(purpose))
	return mac.Sum(nil)
}

type none struct{}

func (none) Register(gin.IRouter) {}
