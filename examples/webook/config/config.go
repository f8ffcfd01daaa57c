// Package config holds what an operator can tune: typed values with defaults,
// read from a YAML file and the environment, validated as a whole, and watched
// while the app runs.
//
// Every key can also be set by an environment variable, which is the place for
// secrets: session.accessKey is WEBOOK_SESSION_ACCESSKEY.
package config

import (
	"time"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/rules"
)

// Config is everything that can be set. The zero Config is not usable: begin with
// [Default] or [Load]. Keys marked live take effect while the app runs.
type Config struct {
	// Data is the folder of the embedded servers. Empty means a temporary folder
	// that is removed at exit.
	Data        string      `mapstructure:"data"`
	HTTP        HTTP        `mapstructure:"http"`
	Metrics     Metrics     `mapstructure:"metrics"`
	DB          DB          `mapstructure:"db"`
	Redis       Redis       `mapstructure:"redis"`
	Kafka       Kafka       `mapstructure:"kafka"`
	Session     Session     `mapstructure:"session"`
	Users       Users       `mapstructure:"users"`
	Articles    Articles    `mapstructure:"articles"`
	Interactive Interactive `mapstructure:"interactive"`
	Wechat      Wechat      `mapstructure:"wechat"`
	SMS         SMS         `mapstructure:"sms"`
	Limits      Limits      `mapstructure:"limits"`
	Console     Console     `mapstructure:"console"`
	Log         Log         `mapstructure:"log"`
	Trace       Trace       `mapstructure:"trace"`
}

// HTTP configures the app's own listener.
type HTTP struct {
	// Addr is where the app and its console listen; ":8080" by default.
	Addr string `mapstructure:"addr"`
	// Timeout is the deadline of one request; 5 s by default, which is longer
	// than any query we make and shorter than people wait.
	Timeout time.Duration `mapstructure:"timeout"`
	// Shutdown bounds the drain of running requests at exit; 10 s by default.
	Shutdown time.Duration `mapstructure:"shutdown"`
	// BodyLimit is the largest request body in bytes; 1 MiB by default.
	BodyLimit int64 `mapstructure:"bodyLimit"`
	// Origins may call us with credentials from a browser. They are compared
	// exactly. By default the front end's http://localhost:3000.
	Origins []string `mapstructure:"origins"`
}

// Metrics configures the operators' listener: /metrics, /healthz, /readyz.
type Metrics struct {
	// Addr is ":8081" by default. Keep it off the public network.
	Addr string `mapstructure:"addr"`
}

// DB configures the SQL database.
type DB struct {
	// Driver is "mysql", "postgres" or "sqlite". Empty, the default, means the
	// embedded SQLite, and then DSN is not used.
	Driver string `mapstructure:"driver"`
	// DSN is the data source name in the driver's own form; for sqlite the file.
	DSN logger.Secret `mapstructure:"dsn"`
}

// Redis configures the cache and session store.
type Redis struct {
	// Addr is host:port. Empty, the default, means the embedded server.
	Addr string `mapstructure:"addr"`
	// Password is empty by default.
	Password logger.Secret `mapstructure:"password"`
	// DB is the logical database; 0 by default.
	DB int `mapstructure:"db"`
}

// Kafka configures the broker.
type Kafka struct {
	// Addrs are host:port each. None, the default, means the embedded broker.
	Addrs []string `mapstructure:"addrs"`
	// Prefix begins the names of our topics and groups, for those who share the
	// brokers with another installation. Empty by default.
	Prefix string `mapstructure:"prefix"`
}

// Session configures the tokens.
type Session struct {
	// AccessKey and RefreshKey sign the two tokens, 32 bytes or more each.
	// Without them the app makes new ones at start, so that its sessions end
	// with it; instances that share a Redis need the same keys.
	AccessKey  logger.Secret `mapstructure:"accessKey"`
	RefreshKey logger.Secret `mapstructure:"refreshKey"`
	// Access is the life of an access token; 30 min by default.
	Access time.Duration `mapstructure:"access"`
	// Refresh is the life of a refresh token; 7 days by default.
	Refresh time.Duration `mapstructure:"refresh"`
	// Max is the life of a session however often it is refreshed; 30 days by
	// default.
	Max time.Duration `mapstructure:"max"`
	// OutageReads is how long reads are let in on a valid access token while
	// Redis can't say whether the session was logged out; 5 min by default.
	// Writes are refused during all of the outage. 0 refuses reads, too.
	OutageReads time.Duration `mapstructure:"outageReads"`
}

// Wechat configures the login with WeChat.
type Wechat struct {
	// AppID and Secret are the app's at WeChat. Without them the embedded app
	// brings a WeChat of its own to play with, and one on real servers has no
	// login with WeChat.
	AppID  string        `mapstructure:"appID"`
	Secret logger.Secret `mapstructure:"secret"`
	// AuthURL is where visitors are sent, APIURL where codes are traded:
	// WeChat's own by default.
	AuthURL string `mapstructure:"authURL"`
	APIURL  string `mapstructure:"apiURL"`
	// RedirectURL is where WeChat sends visitors back to:
	// http://localhost:8080/oauth2/wechat/callback by default.
	RedirectURL string `mapstructure:"redirectURL"`
	// StateTTL is how long a visitor may take; 10 min by default.
	StateTTL time.Duration `mapstructure:"stateTTL"`
	// Timeout bounds the call to WeChat; 3 s by default, below http.timeout.
	Timeout time.Duration `mapstructure:"timeout"`
	// InsecureCookie lets the cookie travel over plain HTTP, for development on a
	// host other than localhost, which browsers trust anyway. Off by default.
	InsecureCookie bool `mapstructure:"insecureCookie"`
}

// Limits configures how many requests are let in. Rules are written as
// rules.Parse reads them, in YAML or in the environment as JSON; of those that
// match the most specific counts. All keys are live, and what was used counts on.
// The rules are shared by all instances and can be changed on the console, too; the
// configuration's come in when they themselves have changed.
type Limits struct {
	// PerAddress are the rules that every request meets before it is looked at
	// any further: they know the address and the route, not the user. By default
	// 20 logins of each sort, 10 sign-ups and 10 codes by text message a minute, as
	// guessing and spamming need more, and 100 requests a second in all.
	PerAddress []rules.Rule `mapstructure:"perAddress"`
	// PerUser are the rules for who has logged in. By default 50 requests a second.
	PerUser []rules.Rule `mapstructure:"perUser"`
	// Instances is how many instances share the limits: while Redis is away, each
	// lets in its part. 1 by default.
	Instances int `mapstructure:"instances"`
	// Timeout is how long a request waits for Redis to say whether it may pass; 50
	// ms by default, a fraction of what people notice.
	Timeout time.Duration `mapstructure:"timeout"`
}

// Console configures the page for operators.
type Console struct {
	// Token lets those who know it change things on the page: 16 bytes or more, the
	// same on all instances. Without one the page is read only; the embedded app
	// makes one at start and prints it.
	Token logger.Secret `mapstructure:"token"`
}

// SMS configures text messages, which bring the codes of logins by phone.
type SMS struct {
	// Region is what numbers without a country code are taken for: an ISO 3166 code
	// of two letters, "CN" by default.
	Region string `mapstructure:"region"`
	// Aliyun and Tencent are the vendors that messages go through. Without the keys
	// of either the embedded app brings fakes of both to play with, and one on real
	// servers has no login by phone.
	Aliyun  Aliyun  `mapstructure:"aliyun"`
	Tencent Tencent `mapstructure:"tencent"`
	// Timeout bounds one attempt at a vendor; 2 s by default: two of them fit into
	// http.timeout.
	Timeout time.Duration `mapstructure:"timeout"`
	// Rate is how many messages a second each vendor gets from all instances
	// together, and how many at once after a pause; 100 by default, below what
	// accounts are usually granted. What is beyond goes to the other vendor, and then
	// waits.
	Rate int64 `mapstructure:"rate"`
	// Out is how long a vendor that is judged ill is left alone before it is tried
	// again; 30 s by default.
	Out time.Duration `mapstructure:"out"`
	// Retries is how often a message that waits is tried again; 100 by default, so
	// that a code's time ends first. Backoff is the longest pause before the first
	// time; it doubles with each, up to tenfold. 2 s by default.
	Retries int           `mapstructure:"retries"`
	Backoff time.Duration `mapstructure:"backoff"`
	// MinLeft is how much of a code's time must be left for it to be worth sending; 1
	// min by default.
	MinLeft time.Duration `mapstructure:"minLeft"`
	// Workers is how many waiting messages an instance sends at a time; 8 by default.
	Workers int `mapstructure:"workers"`
	// Guard is against those who ask for codes to numbers that earn by receiving them.
	Guard Guard `mapstructure:"guard"`
}

// Guard configures what may be sent on trust, by all instances together, to numbers
// without an account. A code that is entered earns the next ones; see smsx/otp/guard.
type Guard struct {
	// DailyCap is the most codes on a UTC day; 20,000 by default: what a day may cost.
	DailyCap int `mapstructure:"dailyCap"`
	// Network, Prefix and Country are how many codes may be on their way, or lost, to
	// what one network asked for (40 by default), to numbers with the same first seven
	// digits (20), and to one country (400). Each is earned again within a day.
	Network int `mapstructure:"network"`
	Prefix  int `mapstructure:"prefix"`
	Country int `mapstructure:"country"`
}

// Aliyun is an account at Alibaba Cloud.
type Aliyun struct {
	// Endpoint is the vendor's own by default.
	Endpoint string `mapstructure:"endpoint"`
	// KeyID and KeySecret sign requests; without them the vendor is not used.
	KeyID     string        `mapstructure:"keyID"`
	KeySecret logger.Secret `mapstructure:"keySecret"`
	// SignName is the granted signature, Template the code of the template, which has
	// the argument "code".
	SignName string `mapstructure:"signName"`
	Template string `mapstructure:"template"`
}

// Tencent is an account at Tencent Cloud.
type Tencent struct {
	// Endpoint is the vendor's own by default.
	Endpoint string `mapstructure:"endpoint"`
	// SecretID and SecretKey sign requests; without them the vendor is not used.
	SecretID  string        `mapstructure:"secretID"`
	SecretKey logger.Secret `mapstructure:"secretKey"`
	// AppID is the application's, SignName the granted signature, Template the number
	// of the template, whose first argument is the code.
	AppID    string `mapstructure:"appID"`
	SignName string `mapstructure:"signName"`
	Template string `mapstructure:"template"`
}

// Any tells whether messages can be sent through a vendor.
func (s SMS) Any() bool { return s.Aliyun.KeyID != "" || s.Tencent.SecretID != "" }

// What happens to a profile read when its cache fails.
const (
	// CachePass reads SQL instead, at most Users.CachePassMax at a time.
	CachePass = "pass"
	// CacheFail fails the request, so that SQL never sees the cache's traffic.
	CacheFail = "fail"
)

// Users configures accounts and their cache. All keys but BcryptCost are live.
type Users struct {
	// BcryptCost is the work factor of new password hashes; 10 by default, about
	// 50 ms of one core. Each step up doubles it.
	BcryptCost int `mapstructure:"bcryptCost"`
	// CacheTTL is how long a profile stays cached; 15 min by default.
	CacheTTL time.Duration `mapstructure:"cacheTTL"`
	// CacheTimeout bounds one cache call; 200 ms by default: a cache slower than
	// the database it shields is as good as down.
	CacheTimeout time.Duration `mapstructure:"cacheTimeout"`
	// CacheFailure is CachePass, the default because one query by primary key is
	// cheap, or CacheFail.
	CacheFailure string `mapstructure:"cacheFailure"`
	// CachePassMax is how many reads may pass to SQL at once while the cache
	// fails; 64 by default. More are answered "busy".
	CachePassMax int `mapstructure:"cachePassMax"`
}

// Log configures the log on standard error.
type Log struct {
	// Level is debug, info, warn or error; info by default. Live.
	Level string `mapstructure:"level"`
	// Format is "console" for people, the default, or "json" for machines.
	Format string `mapstructure:"format"`
}

// Trace configures tracing. Requests have trace ids in any case.
type Trace struct {
	// OTLP is the base URL of an OTLP/HTTP collector: http://localhost:4318.
	// Empty, the default, exports nothing.
	OTLP string `mapstructure:"otlp"`
	// Ratio of new traces that are exported, 0 to 1; 1 by default. A caller's
	// decision in the traceparent header wins.
	Ratio float64 `mapstructure:"ratio"`
}

// Default returns the configuration of the one-command app: everything embedded.
func Default() Config {
	return Config{
		HTTP: HTTP{
			Addr: ":8080", Timeout: 5 * time.Second, Shutdown: 10 * time.Second,
			BodyLimit: 1 << 20, Origins: []string{"http://localhost:3000"},
		},
		Metrics: Metrics{Addr: ":8081"},
		Session: Session{
			Access: 30 * time.Minute, Refresh: 7 * 24 * time.Hour, Max: 30 * 24 * time.Hour,
			OutageReads: 5 * time.Minute,
		},
		Users: Users{
			BcryptCost: 10, CacheTTL: 15 * time.Minute, CacheTimeout: 200 * time.Millisecond,
			CacheFailure: CachePass, CachePassMax: 64,
		},
		Articles:    defaultArticles(),
		Interactive: defaultInteractive(),
		Wechat: Wechat{
			AuthURL: "https://open.weixin.qq.com", APIURL: "https://api.weixin.qq.com",
			RedirectURL: "http://localhost:8080/oauth2/wechat/callback",
			StateTTL:    10 * time.Minute, Timeout: 3 * time.Second,
		},
		SMS: SMS{
			Region:  "CN",
			Aliyun:  Aliyun{Endpoint: "https://dysmsapi.aliyuncs.com"},
			Tencent: Tencent{Endpoint: "https://sms.tencentcloudapi.com"},
			Timeout: 2 * time.Second, Rate: 100, Out: 30 * time.Second,
			Retries: 100, Backoff: 2 * time.Second, MinLeft: time.Minute, Workers: 8,
			Guard: Guard{DailyCap: 20_000, Network: 40, Prefix: 20, Country: 400},
		},
		Limits: Limits{
			PerAddress: []rules.Rule{
				{Name: "login", Match: rules.Match{Method: "POST /users/login"}, Per: []rules.Field{rules.IP}, Rate: ratelimit.PerMinute(20), Burst: 10},
				{Name: "signup", Match: rules.Match{Method: "POST /users/signup"}, Per: []rules.Field{rules.IP}, Rate: ratelimit.PerMinute(10), Burst: 5},
				{Name: "wechat", Match: rules.Match{Method: "GET /oauth2/wechat/authurl"}, Per: []rules.Field{rules.IP}, Rate: ratelimit.PerMinute(10), Burst: 10},
				{Name: "code", Match: rules.Match{Method: "POST /users/login_sms/code/send"}, Per: []rules.Field{rules.IP}, Rate: ratelimit.PerMinute(10), Burst: 5},
				{Name: "login-sms", Match: rules.Match{Method: "POST /users/login_sms"}, Per: []rules.Field{rules.IP}, Rate: ratelimit.PerMinute(20), Burst: 10},
				{Name: "address", Per: []rules.Field{rules.IP}, Rate: ratelimit.PerSecond(100), Burst: 200},
			},
			PerUser:   []rules.Rule{{Name: "user", Per: []rules.Field{rules.User}, Rate: ratelimit.PerSecond(50), Burst: 100}},
			Instances: 1, Timeout: 50 * time.Millisecond,
		},
		Log:   Log{Level: "info", Format: "console"},
		Trace: Trace{Ratio: 1},
	}
}
