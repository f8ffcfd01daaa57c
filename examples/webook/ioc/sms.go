package ioc

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"

	"github.com/redis/go-redis/v9"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/examples/webook/config"
	"github.com/bulwark-go/bulwark/examples/webook/console"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository"
	"github.com/bulwark-go/bulwark/examples/webook/internal/service"
	"github.com/bulwark-go/bulwark/failover"
	"github.com/bulwark-go/bulwark/failover/async"
	"github.com/bulwark-go/bulwark/failover/async/gormstore"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/redislimit"
	"github.com/bulwark-go/bulwark/smsx"
	"github.com/bulwark-go/bulwark/smsx/aliyun"
	"github.com/bulwark-go/bulwark/smsx/chain"
	"github.com/bulwark-go/bulwark/smsx/fake"
	"github.com/bulwark-go/bulwark/smsx/otp"
	otpguard "github.com/bulwark-go/bulwark/smsx/otp/guard"
	"github.com/bulwark-go/bulwark/smsx/otp/guard/redisguard"
	"github.com/bulwark-go/bulwark/smsx/otp/redisotp"
	"github.com/bulwark-go/bulwark/smsx/tencent"
)

// codeTemplate is what the app calls the text with a code in it; each vendor has a
// name of its own for it.
const codeTemplate = "login-code"

// Messages are the app's text messages: the chain that sends them, and what an
// operator sees of it.
type Messages struct {
	chain    *chain.Service
	vendors  []console.Vendor
	switches *console.Switches
}

// NewMessages returns the chain of the vendors that cfg has keys for, with what can't
// be sent now waiting in db. Without any vendor the embedded app brings fakes of both,
// and one on real servers gets nil: it has no text messages.
func NewMessages(ctx context.Context, c *Closers, live *config.Live, db *gorm.DB, rdb *redis.Client, log logger.Logger, observer observe.Observer) (*Messages, error) {
	cfg := live.Get().SMS
	m := &Messages{switches: &console.Switches{}}
	if !cfg.Any() {
		if live.Get().DB.Driver != "" {
			return nil, nil
		}
		if err := m.embedVendors(ctx, c, &cfg); err != nil {
			return nil, err
		}
	}
	providers, err := vendors(c, cfg)
	if err != nil {
		return nil, err
	}
	store, err := gormstore.New(db, gormstore.WithTable("async_sms"))
	if err != nil {
		return nil, err
	}
	if err := store.Migrate(ctx); err != nil {
		return nil, fmt.Errorf("messages: %w", err)
	}
	rate, err := m.rate(rdb, live)
	if err != nil {
		return nil, err
	}
	sealed, err := sealing(live.Get().Session)
	if err != nil {
		return nil, err
	}
	// Each vendor has a judge; when all are ill there is nobody to send through, and
	// the message waits. A judge of the whole would only come back later than they.
	m.chain, err = chain.New(chainConfig(*live.Get()), providers,
		chain.WithLimit(rate), chain.WithLogger(log.Named("sms")), chain.WithObserver(observer),
		chain.WithFailover(failover.WithOrder(), failover.WithJudge(async.Crash(async.JudgeConfig{})), failover.OnEvent(m.switches.Add)),
		chain.WithRescue(store, async.WithCodec(chain.Sealed(sealed))))
	return m, err
}

func chainConfig(cfg config.Config) chain.Config {
	s := cfg.SMS
	// A vendor that fails is followed by the other one until its judge has seen enough,
	// which takes about ten messages: that must not exhaust the retries.
	c := chain.Config{Name: "sms", Failover: failover.Config{AttemptTimeout: s.Timeout, RetryBurst: 100}}
	c.Failover.Health.OpenFor = s.Out
	c.Rescue.Retries, c.Rescue.Backoff, c.Rescue.MinLeft, c.Rescue.Workers = s.Retries, s.Backoff, s.MinLeft, s.Workers
	c.Rescue.MaxBackoff = 10 * s.Backoff
	c.Rescue.SendTimeout = cfg.HTTP.Timeout
	return c
}

// rate is what each vendor gets from all instances together.
func (m *Messages) rate(rdb *redis.Client, live *config.Live) (ratelimit.Limiter, error) {
	rate := live.Get().SMS.Rate
	shared, err := redislimit.NewTokenBucket(rdb, ratelimit.PerSecond(rate), redislimit.WithBurst(rate), redislimit.WithPrefix("limit:sms"))
	if err != nil {
		return nil, err
	}
	limits := live.Get().Limits
	return ratelimit.Share(shared, limits.Instances, ratelimit.WithBudget(limits.Timeout),
		ratelimit.WithInstances(func() int { return live.Get().Limits.Instances }))
}

// vendors are the adapters of those that cfg has keys for.
func vendors(c *Closers, cfg config.SMS) (list []chain.Provider, err error) {
	client := &http.Client{Timeout: cfg.Timeout}
	c.AddClose("sms client", func() error { client.CloseIdleConnections(); return nil })
	add := func(name, template string, s smsx.Service, failed error) {
		err = errors.Join(err, failed)
		list = append(list, chain.Provider{Name: name, Value: withTemplate(s, template)})
	}
	if a := cfg.Aliyun; a.KeyID != "" {
		s, err := aliyun.New(aliyun.Config{
			Endpoint: a.Endpoint, AccessKeyID: a.KeyID, AccessKeySecret: a.KeySecret.Reveal(), SignName: a.SignName,
		}, client)
		add("aliyun", a.Template, s, err)
	}
	if t := cfg.Tencent; t.SecretID != "" {
		s, err := tencent.New(tencent.Config{
			Endpoint: t.Endpoint, SecretID: t.SecretID, SecretKey: t.SecretKey.Reveal(), AppID: t.AppID, SignName: t.SignName,
		}, client)
		add("tencent", t.Template, s, err)
	}
	return list, err
}

// withTemplate calls the one template that the app has by the vendor's name.
func withTemplate(next smsx.Service, name string) smsx.Service {
	return smsx.ServiceFunc(func(ctx context.Context, m smsx.Message) (smsx.Receipt, error) {
		m.Template = name
		return next.Send(ctx, m)
	})
}

// sealing hides numbers and codes from who can read the database. Its key lives as
// long as those that the codes themselves are checked with.
func sealing(cfg config.Session) (cipher.AEAD, error) {
	block, err := aes.NewCipher(derivedKey(cfg, "waiting messages"))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// embedVendors starts a fake of each vendor for the demo and lets cfg name them.
func (m *Messages) embedVendors(ctx context.Context, c *Closers, cfg *config.SMS) error {
	key := fake.Config{KeyID: "demo", Secret: rand.Text()}
	a, t := fake.NewAliyun(key), fake.NewTencent(key)
	addrs := [2]string{}
	for i, v := range []console.Vendor{{Name: "aliyun", Fake: a}, {Name: "tencent", Fake: t}} {
		addr, err := embed(ctx, c, "embedded "+v.Name, v.Fake)
		if err != nil {
			return err
		}
		addrs[i] = "http://" + addr
		m.vendors = append(m.vendors, v)
	}
	secret := logger.NewSecret(key.Secret)
	cfg.Aliyun = config.Aliyun{Endpoint: addrs[0], KeyID: key.KeyID, KeySecret: secret, SignName: "webook", Template: "SMS_1"}
	cfg.Tencent = config.Tencent{Endpoint: addrs[1], SecretID: key.KeyID, SecretKey: secret, AppID: "1", SignName: "webook", Template: "1"}
	return nil
}

// Run sends what waits until ctx ends.
func (m *Messages) Run(ctx context.Context) error { return m.chain.Run(ctx) }

// Register hands what is known about providers and queue to a metrics backend's own
// Register.
func (m *Messages) Register(register func(observe.Source) error) error {
	return errors.Join(register(m.chain.Failover().Group()), register(m.chain.Rescue().Queue(smsx.AtMostOnce)))
}

// Console is what the console shows and steers.
func (m *Messages) Console() *console.Messages {
	group := m.chain.Failover().Group()
	return &console.Messages{
		Providers: group.Snapshot, SetMode: group.SetMode, Switches: m.switches,
		Queue: m.chain.Rescue().Queue(smsx.AtMostOnce), Vendors: m.vendors,
	}
}

// SMSLogin returns the login with a code that is sent by message.
func (m *Messages) SMSLogin(live *config.Live, rdb *redis.Client, users *repository.Users, observer observe.Observer) (*service.SMSLogin, error) {
	cfg := live.Get()
	store, err := redisotp.New(rdb)
	if err != nil {
		return nil, err
	}
	sender, err := otp.NewSMS(tellingLater(m.chain), codeTemplate, otp.SMSConfig{})
	if err != nil {
		return nil, err
	}
	codes, err := otp.New(otp.Observe(store, observer), sender, otp.Keys{
		Subject: derivedKey(cfg.Session, "phones of codes"),
		Codes:   []otp.Key{{ID: "1", Secret: derivedKey(cfg.Session, "codes")}},
	}, otp.Config{})
	if err != nil {
		return nil, err
	}
	pumping, err := pumpingGuard(*cfg, rdb, users, observer)
	if err != nil {
		return nil, err
	}
	return service.NewSMSLogin(users, otpguard.Protect(codes, pumping), cfg.SMS.Region), nil
}

// pumpingGuard decides who gets a code. Accounts of people with the phone always do.
// Without Redis there are no codes either, so it has no backup.
func pumpingGuard(cfg config.Config, rdb *redis.Client, users *repository.Users, observer observe.Observer) (*otpguard.Guard, error) {
	store, err := redisguard.New(rdb, derivedKey(cfg.Session, "pumping"))
	if err != nil {
		return nil, err
	}
	g := cfg.SMS.Guard
	return otpguard.New(otpguard.Observe(store, observer),
		otpguard.Config{DailyCap: g.DailyCap, Network: g.Network, Prefix: g.Prefix, Country: g.Country},
		otpguard.WithKnown(func(ctx context.Context, phone string) bool {
			known, err := users.HasPhone(ctx, phone)
			return known && err == nil // whoever can't be looked up is charged like a stranger
		}))
}

// tellingLater lets the use case know of a message that waits.
func tellingLater(next smsx.Service) smsx.Service {
	return smsx.ServiceFunc(func(ctx context.Context, m smsx.Message) (smsx.Receipt, error) {
		receipt, err := next.Send(ctx, m)
		if len(receipt.Results) > 0 && receipt.Results[0].Deferred {
			service.NoteLater(ctx)
		}
		return receipt, err
	})
}
