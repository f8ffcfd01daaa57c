package doctest_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/IBM/sarama"
	"github.com/gin-gonic/gin"
	"github.com/glebarez/sqlite"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/circuitbreaker"
	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
	"github.com/bulwark-go/bulwark/failover"
	"github.com/bulwark-go/bulwark/failover/async"
	"github.com/bulwark-go/bulwark/ginx"
	"github.com/bulwark-go/bulwark/ginx/session"
	"github.com/bulwark-go/bulwark/gormx"
	"github.com/bulwark-go/bulwark/idempotency"
	idemstore "github.com/bulwark-go/bulwark/idempotency/gormstore"
	"github.com/bulwark-go/bulwark/internal/embedded"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/logger/mask"
	"github.com/bulwark-go/bulwark/logger/zaplog"
	"github.com/bulwark-go/bulwark/observe"
	"github.com/bulwark-go/bulwark/observe/prom"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/saramax"
	"github.com/bulwark-go/bulwark/saramax/outbox"
	"github.com/bulwark-go/bulwark/smsx"
	"github.com/bulwark-go/bulwark/smsx/chain"
	"github.com/bulwark-go/bulwark/smsx/otp"
)

// The quick starts of the READMEs. What they need around them stands first, so
// that the functions hold only what a reader should see.

// zapLogger prints JSON without times to standard output.
var zapLogger = zap.New(zapcore.NewCore(
	zapcore.NewJSONEncoder(zapcore.EncoderConfig{MessageKey: "msg", LevelKey: "level", EncodeLevel: zapcore.LowercaseLevelEncoder}),
	zapcore.AddSync(printer{}), zapcore.DebugLevel))

// printer writes to what os.Stdout is when it is called: an Example replaces it.
type printer struct{}

func (printer) Write(p []byte) (int, error) { return os.Stdout.Write(p) }

func newSecret() []byte {
	secret := make([]byte, session.MinSecret)
	_, _ = rand.Read(secret)
	return secret
}

// post sends JSON and prints the answer.
func post(h http.Handler, path, body string) {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Body)
}

// arrived holds the code of the message that came last.
var arrived = make(chan string, 1)

func whatArrived() string { return <-arrived }

// account is a vendor's, as far as the quick start can tell.
func account(name string) smsx.Service {
	return smsx.ServiceFunc(func(_ context.Context, m smsx.Message) (smsx.Receipt, error) {
		arrived <- m.Args[0].Value
		return smsx.Same(m, smsx.Result{Outcome: smsx.Accepted, Reason: smsx.ReasonAccepted, Provider: name}), nil
	})
}

var (
	aliyunAccount, tencentAccount = account("aliyun"), account("tencent")

	waiting  = async.NewMemory()
	codeKeys = otp.Keys{Subject: newSecret(), Codes: []otp.Key{{ID: "1", Secret: newSecret()}}}
)

var (
	registry  = prometheus.NewRegistry()
	appLog    logger.Logger
	watching  = observe.Nop()
	sessionDB = session.NewMemoryStore()

	databaseFile string // set in TestMain
)

func Example_logger() {
	log := logger.New(mask.New(zaplog.New(zapLogger))).With(logger.String("svc", "webook"))
	log.Warn("sms limited",
		logger.String("phone", "13800138000"), // leaves masked
		logger.Int("retries", 3),
		logger.Err(errors.New("POST /sms?to=13800138000: 503")))
	// Output:
	// {"level":"warn","msg":"sms limited","svc":"webook","phone":"138****8000","retries":3,"error":"POST /sms?to=138****8000: 503"}
}

// sendKind would be a package-level value next to the code it describes.
var sendKind = observe.Kind{
	Component: "sms", Action: "send", Help: "Messages sent.",
	Role: observe.Client, StartLabels: []string{"provider"},
}

func send(context.Context) error { return nil }

func Example_observe() {
	observer, err := prom.New(registry, prom.Config{Namespace: "webook"}) // or observe.Multi(metrics, traces)
	if err != nil {
		panic(err)
	}
	ctx, end := observer.Start(context.Background(),
		observe.Operation{Kind: &sendKind, Values: observe.Values{"ali"}})
	err = send(ctx)
	end(observe.Result{Outcome: observe.OutcomeOf(err), Err: err})
	// webook_sms_send_duration_seconds{provider="ali",outcome="ok"} and …_in_flight are on the registry now.
	// Output:
}

func Example_ginx() {
	type EditReq struct {
		Nickname string `json:"nickname" binding:"required,max=20"`
	}
	errTaken := ginx.NewError(401004, "this nickname is taken")
	edit := func(ctx context.Context, req EditReq) (ginx.Result, error) {
		if req.Nickname == "bob" {
			return ginx.Result{}, fmt.Errorf("edit profile: %w", errTaken)
		}
		return ginx.Result{Data: req.Nickname}, nil
	}

	r := gin.New()
	r.NoRoute(ginx.NotFound())
	r.Use(ginx.AccessLog(appLog), ginx.Observe(watching), ginx.Recovery())
	r.POST("/users/edit", ginx.WrapBody(edit))

	post(r, "/users/edit", `{"nickname":"ann"}`)
	post(r, "/users/edit", `{"nickname":"bob"}`)
	post(r, "/users/edit", `{"nickname":7}`)
	post(r, "/nowhere", `{}`)
	// Output:
	// 200 {"code":0,"msg":"","data":"ann"}
	// 200 {"code":401004,"msg":"this nickname is taken","data":null}
	// 400 {"code":4,"msg":"nickname must be a string, not number","data":null}
	// 404 {"code":4,"msg":"not found","data":null}
}

func Example_session() {
	sessions, err := session.New(sessionDB, // redissession.New(rdb) for several instances
		session.Keys{
			Access:  []session.Key{{ID: "2026-11", Secret: newSecret()}},
			Refresh: []session.Key{{ID: "2026-11", Secret: newSecret()}},
		}, session.Config{AccessTTL: 15 * time.Minute})
	if err != nil {
		panic(err)
	}
	rules, err := session.NewRules(session.Public("POST /users/login", "POST /users/refresh_token"))
	if err != nil {
		panic(err)
	}

	r := gin.New()
	r.Use(sessions.Login(rules)) // all other routes need a login
	r.POST("/users/refresh_token", sessions.HandleRefresh())
	r.POST("/users/logout", sessions.HandleLogout()) // both tokens useless on every node within a second

	ctx := context.Background()
	tokens, err := sessions.Issue(ctx, 42, "curl/8") // after the password was checked
	claims, err2 := sessions.Verify(ctx, tokens.Access, "curl/8")
	fmt.Println(claims.UserID, err, err2)
	_, err = sessions.Verify(ctx, tokens.Refresh, "curl/8") // a refresh token is no access token
	fmt.Println(errors.Is(err, session.ErrInvalid))
	// Output:
	// 42 <nil> <nil>
	// true
}

func Example_gormx() {
	sqlLog, err := gormx.NewLogger(appLog.Named("gorm"),
		gormx.LoggerConfig{Dialect: "sqlite", SlowThreshold: time.Second})
	if err != nil {
		panic(err)
	}
	db, err := gorm.Open(sqlite.Open(databaseFile), &gorm.Config{Logger: sqlLog})
	if err != nil {
		panic(err)
	}
	err = db.Use(gormx.Observe(watching)) // every statement: database, operation, table, outcome, rows
	if err != nil {
		panic(err)
	}
	// Output:
}

func Example_ratelimit() {
	base, err := ratelimit.NewTokenBucket(ratelimit.PerHour(100), ratelimit.WithBurst(2))
	if err != nil {
		panic(err)
	}
	limiter := ratelimit.Observe(base, "login", watching) // decorators keep the interface

	ctx := context.Background()
	for range 3 {
		d, err := limiter.Take(ctx, "user:42", 1)
		fmt.Println(d.Allowed, d.Remaining, err)
	}
	d, _ := limiter.Take(ctx, "user:42", 1)
	fmt.Println("again in", d.RetryAfter.Round(time.Second))
	fmt.Println("at most", base.Most(time.Hour), "in any hour")
	// Output:
	// true 1 <nil>
	// true 0 <nil>
	// false 0 <nil>
	// again in 36s
	// at most 101 in any hour
}

var errDown = errors.New("connection refused")

// sender is a provider; suspended refuses each message, and healthy sends it.
type sender func(ctx context.Context, text string) (string, error)

func suspended(context.Context, string) (string, error) {
	return "", failover.Mark(errors.New("account suspended"), failover.Rejected)
}

func healthy(context.Context, string) (string, error) { return "sent", nil }

func Example_failover() {
	group, err := failover.NewGroup(failover.Config{Name: "sms"}, []failover.Candidate[sender]{
		{Name: "first", Value: suspended},
		{Name: "second", Value: healthy},
	}, failover.WithRoundRobin())
	if err != nil {
		panic(err)
	}
	// Another provider is tried only when the first surely did nothing: after a
	// time-out the message may be on its way, and a second would be one too many.
	receipt, err := failover.Do(context.Background(), group,
		func(ctx context.Context, s sender) (string, error) { return s(ctx, "hello") })
	fmt.Println(receipt, err)
	// Output: sent <nil>
}

func Example_smsx() {
	// Two vendors; what neither can take now waits in the store, and Run sends it later.
	messages, err := chain.New(chain.Config{Name: "sms"}, []chain.Provider{
		{Name: "aliyun", Value: aliyunAccount}, {Name: "tencent", Value: tencentAccount},
	}, chain.WithFailover(failover.WithOrder()), chain.WithRescue(waiting))
	if err != nil {
		panic(err)
	}
	sender, err := otp.NewSMS(messages, "SMS_LOGIN", otp.SMSConfig{})
	if err != nil {
		panic(err)
	}
	codes, err := otp.New(otp.NewMemory(), sender, codeKeys, otp.Config{CountryCode: "86"})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	fmt.Println(codes.Issue(ctx, "login", "139 1234 5678"))
	err = codes.Issue(ctx, "login", "+8613912345678") // the same phone: one code a minute
	fmt.Println(errors.Is(err, otp.ErrLimited))
	ok, err := codes.Verify(ctx, "login", "13912345678", whatArrived())
	fmt.Println(ok, err)
	// Output:
	// <nil>
	// true
	// true <nil>
}

func Example_circuitbreaker() {
	breaker, err := circuitbreaker.New(circuitbreaker.Config{Name: "billing"},
		circuitbreaker.WithDetector(detect.Consecutive(3)))
	if err != nil {
		panic(err)
	}
	call := func(ctx context.Context) (string, error) { return "", errDown }

	ctx := context.Background()
	for range 4 {
		_, err := circuitbreaker.Do(ctx, breaker, call)
		fmt.Println(breaker.State(), errors.Is(err, circuitbreaker.ErrOpen))
	}
	// Output:
	// closed false
	// closed false
	// open false
	// open true
}

// brokers starts a Kafka cluster with the example's topics.
func brokers() (addrs []string, end func()) {
	kafka, err := embedded.StartKafka(embedded.KafkaConfig{Topics: []embedded.Topic{
		{Name: "read_article"}, {Name: "read_article.interactive.dlt"},
	}})
	if err != nil {
		panic(err)
	}
	return kafka.Addrs(), func() { _ = kafka.Close() }
}

// memoryDB is a database of this process.
func memoryDB() *gorm.DB {
	db, err := gorm.Open(sqlite.Open(":memory:"), &gorm.Config{})
	if err != nil {
		panic(err)
	}
	conns, err := db.DB()
	if err != nil {
		panic(err)
	}
	conns.SetMaxOpenConns(1) // another connection would have a database of its own
	return db
}

func Example_saramax() {
	type ReadEvent struct{ Article, User int64 }
	addrs, end := brokers() // your brokers
	defer end()
	cfg := saramax.NewConfig("interactive") // nothing in it loses records
	client, err := sarama.NewClient(addrs, cfg)
	if err != nil {
		panic(err)
	}
	raw, err := saramax.NewRawProducer(addrs, cfg)
	if err != nil {
		panic(err)
	}
	events, err := saramax.NewProducer(raw, "read_article", saramax.JSON[ReadEvent]())
	if err != nil {
		panic(err)
	}

	ctx, stop := context.WithCancel(context.Background())
	consumer, err := saramax.NewConsumer(client, "interactive", []string{"read_article"},
		saramax.Batch(func(_ context.Context, batch []saramax.Record[ReadEvent]) []saramax.Verdict {
			fmt.Println("article", batch[0].Value.Article, "was read by", batch[0].Value.User)
			stop()
			return nil // all done; or a verdict for each: done, retry, dead letter, skip
		}), saramax.WithBatch(500, 200*time.Millisecond), saramax.WithDeadLetter(raw))
	if err != nil {
		panic(err)
	}

	_, err = events.Send(ctx, []byte("7"), ReadEvent{Article: 7, User: 42}) // all replicas have it
	fmt.Println(err)
	fmt.Println(consumer.Run(ctx)) // returns after a clean drain
	fmt.Println(raw.Close(context.Background()), client.Close())
	// Output:
	// <nil>
	// article 7 was read by 42
	// <nil>
	// <nil> <nil>
}

func Example_outbox() {
	type PaidEvent struct{ TradeNo string }
	db, ctx := memoryDB(), context.Background()
	plugin, err := outbox.NewPlugin(outbox.Settings{})
	if err != nil {
		panic(err)
	}
	if err := errors.Join(db.Use(plugin), outbox.Migrate(ctx, db)); err != nil {
		panic(err)
	}

	err = db.Transaction(func(tx *gorm.DB) error {
		// what the event tells of is changed here, in the same transaction
		return outbox.Add(tx, "payment_events", "T-1001", PaidEvent{TradeNo: "T-1001"})
	})
	fmt.Println(err)

	ctx, stop := context.WithCancel(ctx)
	publish := outbox.PublisherFunc(func(_ context.Context, messages []outbox.Message) []error { // or NewSaramaPublisher
		fmt.Println(messages[0].Topic, string(messages[0].Payload))
		stop()
		return nil
	})
	relay, err := outbox.NewRelay(db, publish, outbox.Config{})
	if err != nil {
		panic(err)
	}
	fmt.Println(relay.Run(ctx)) // as many instances as you like: each aggregate's order holds
	// Output:
	// <nil>
	// payment_events {"TradeNo":"T-1001"}
	// <nil>
}

func Example_idempotency() {
	db, ctx := memoryDB(), context.Background()
	store, err := idemstore.New(db, idemstore.Config{Window: 30 * 24 * time.Hour})
	if err != nil {
		panic(err)
	}
	if err := store.Migrate(ctx); err != nil {
		panic(err)
	}
	payments := idempotency.Scope("payments")
	book := func(amount string) {
		decision, err := store.Do(ctx, payments.Key("T-1001"), idempotency.Fields(amount), func(tx *gorm.DB) error {
			fmt.Println("booked", amount) // in the transaction that keeps the key
			return nil
		})
		var conflict *idempotency.ConflictError
		fmt.Println(decision.Kind, errors.As(err, &conflict))
	}
	book("100")
	book("100")
	book("999")
	// Output:
	// booked 100
	// first false
	// repeat false
	// conflict true
}
