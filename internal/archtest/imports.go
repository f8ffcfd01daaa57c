package archtest

import (
	"slices"
	"strings"
)

// core packages and what of the library each may use, besides what is below
// itself. Packages of one level stand side by side: a need across is a one-method
// interface at whoever has it.
var layers = map[string][]string{
	"observe":        {},
	"logger":         {},
	"ratelimit":      {"observe", "logger"},
	"circuitbreaker": {"observe", "logger"},
	"lock":           {"observe", "logger"},
	"failover":       {"observe", "logger", "ratelimit", "circuitbreaker", "lock"},
	"smsx":           {"observe", "logger", "ratelimit", "circuitbreaker", "lock", "failover"},
	"migrator":       {"observe", "logger"},
	"idempotency":    {"observe"},
	"ginx":           core,
	"grpcx":          core,
	"gormx":          core,
	"saramax":        core,
}

// transportless packages know nothing of HTTP.
var transportless = []string{"observe", "ratelimit", "circuitbreaker", "circuitbreaker/detect", "lock", "failover"}

// core is what frameworks may use: never each other.
var core = []string{"observe", "logger", "ratelimit", "circuitbreaker", "lock", "failover", "smsx", "migrator"}

// meetings are the packages where technologies meet by nature, and what of the
// library they may use beyond their layer.
var meetings = map[string][]string{
	"saramax/outbox":        {"gormx"},
	"migrator/saramaevents": {"saramax"},
	"migrator/gormside":     {"gormx"},
	"observe/redishook":     {"logger"}, // a line for each command, like gormx's
}

// internals are the internal packages that the library's own code builds on;
// the others serve tests and the app.
var internals = []string{"internal/keyed", "internal/dispatch"}

// technologies are the modules that each package may use from outside, beyond
// the standard library. A package that is not here uses none, and one below does
// not inherit: a backend names exactly what it is for.
var technologies = map[string][]string{
	"observe/prom":                 {"github.com/prometheus/"},
	"observe/otel":                 {"go.opentelemetry.io/"},
	"logger/zaplog":                {"go.uber.org/zap"},
	"logger/zerologlog":            {"github.com/rs/zerolog"},
	"ratelimit/rules/redisrules":   {redisClient},
	"ratelimit/redislimit":         {redisClient},
	"lock/redislock":               {redisClient},
	"lock/loadaware":               {redisClient},
	"lock/preempt/gormstore":       {orm},
	"lock/cron":                    {"github.com/robfig/cron/"},
	"failover/async/gormstore":     {orm},
	"failover/degrade/redisswitch": {redisClient},
	"smsx/aliyun":                  {"github.com/aliyun/", "github.com/alibabacloud-go/"},
	"smsx/tencent":                 {"github.com/tencentcloud/"},
	"smsx/template":                {jwt},
	"smsx/template/gormdesk":       {orm},
	"smsx/redisquota":              {redisClient},
	"smsx/otp/redisotp":            {redisClient},
	"smsx/otp/guard/redisguard":    {redisClient},
	"smsx/phone":                   {"github.com/nyaruka/phonenumbers"},
	"ginx":                         {gin, "github.com/gin-contrib/cors", "github.com/go-playground/validator/", "golang.org/x/net/publicsuffix"},
	"ginx/session":                 {gin, jwt},
	"ginx/session/redissession":    {redisClient},
	"ginx/session/sessiontest":     {gin},
	"grpcx":                        {grpc},
	"grpcx/balancer":               {grpc},
	"grpcx/interceptor":            {grpc},
	"grpcx/serviceconfig":          {grpc},
	"grpcx/greyscale":              {grpc},
	"grpcx/registry":               {grpc},
	"grpcx/registry/etcd":          {grpc, "go.etcd.io/"},
	"gormx":                        {orm},
	"gormx/dualwrite":              {orm},
	"saramax":                      {kafka},
	"saramax/outbox":               {kafka, orm},
	"saramax/saramaxtest":          {kafka},
	"migrator/gormside":            {orm},
	"migrator/saramaevents":        {kafka, orm},
	"migrator/mongoside":           {"go.mongodb.org/"},
	"observe/redishook":            {redisClient},
	"idempotency/gormstore":        {orm},
	"idempotency/redisfilter":      {redisClient},
}

const (
	redisClient = "github.com/redis/go-redis/"
	orm         = "gorm.io/"
	gin         = "github.com/gin-gonic/"
	jwt         = "github.com/golang-jwt/"
	grpc        = "google.golang.org/"
	kafka       = "github.com/IBM/sarama"

	// everywhere is the utility library that core packages may use.
	everywhere = "github.com/ecodeclub/ekit"
)

// testTools are what suites for implementers may use, in packages named …test.
var testTools = []string{"github.com/stretchr/testify/", "go.uber.org/goleak", "pgregory.net/rapid"}

// Imports tells where the library imports what its layer does not allow.
func Imports(t *Tree) []Violation {
	var bad []Violation
	for _, p := range t.library() {
		for _, f := range p.Files {
			for name, spec := range imports(f) {
				if why := forbidden(p.Dir, name); why != "" {
					bad = append(bad, t.at(spec, "%s imports %s: %s", p.Dir, name, why))
				}
			}
		}
	}
	return bad
}

// forbidden says why a package of the library may not import a path; "" if it may.
func forbidden(dir, name string) string {
	if slices.Contains(transportless, dir) && name == "net/http" {
		return "status codes belong to the edges"
	}
	own, isOwn := strings.CutPrefix(name, Module+"/")
	switch {
	case name == "testing" || strings.HasPrefix(name, "testing/"):
		if !isSuite(dir) {
			return "only tests and packages named …test do"
		}
		return ""
	case isOwn:
		return forbiddenOwn(dir, own)
	case !strings.Contains(strings.SplitN(name, "/", 2)[0], "."):
		return "" // the standard library
	default:
		return forbiddenOutside(dir, name)
	}
}

func forbiddenOwn(dir, own string) string {
	top, _, _ := strings.Cut(dir, "/")
	allowed, known := layers[top]
	folder, _, _ := strings.Cut(own, "/")
	switch {
	case !known:
		return top + " has no layer: give it one"
	case slices.Contains(internals, own):
		return ""
	case dir == "circuitbreaker/detect":
		return "detectors are shared, so they stand on the standard library and its like alone"
	case isSuite(dir) && within(own, "internal"):
		return ""
	case within(own, "internal"), within(own, "examples"), within(own, "bench"), within(own, "scripts"):
		return "it is not for the library"
	case folder == top, top == "failover" && own == "circuitbreaker/detect":
		return ""
	case isSuite(own) && !isSuite(dir):
		return "a suite is for tests"
	case slices.Contains(allowed, folder), slices.Contains(meetings[dir], folder):
		return ""
	}
	return "not a layer below"
}

func forbiddenOutside(dir, name string) string {
	match := func(prefix string) bool { return strings.HasPrefix(name, prefix) }
	switch {
	case match(everywhere), slices.ContainsFunc(technologies[dir], match):
		return ""
	case isSuite(dir) && slices.ContainsFunc(testTools, match):
		return ""
	}
	return "not its technology"
}

// isSuite tells whether a folder holds a conformance suite or a test double.
func isSuite(dir string) bool { return strings.HasSuffix(dir, "test") }
