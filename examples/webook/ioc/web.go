package ioc

import (
	"context"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/contrib/instrumentation/github.com/gin-gonic/gin/otelgin"
	"go.opentelemetry.io/otel/trace"

	"github.com/bulwark-go/bulwark/examples/webook/config"
	"github.com/bulwark-go/bulwark/ginx"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/observe"
)

// Routes adds its routes to the app.
type Routes interface{ Register(r gin.IRouter) }

// Engine returns the app's router: what is done for every request, outermost first,
// and then the routes. perAddress limits who sends too much, before anything is read.
func Engine(cfg config.HTTP, log logger.Logger, observer observe.Observer, traces trace.TracerProvider, perAddress gin.HandlerFunc, routes ...Routes) (*gin.Engine, error) {
	limit, err := ginx.BodyLimit(cfg.BodyLimit)
	if err != nil {
		return nil, err
	}
	deadline, err := ginx.Timeout(cfg.Timeout)
	if err != nil {
		return nil, err
	}
	e := gin.New()
	e.HandleMethodNotAllowed = true
	// A redirect would be gin's own: past the log, the metrics and CORS.
	e.RedirectTrailingSlash = false
	// The address in the log is the one that connected: headers can say anything.
	if err := e.SetTrustedProxies(nil); err != nil {
		return nil, err
	}
	e.Use(
		otelgin.Middleware(ServiceName, otelgin.WithTracerProvider(traces), otelgin.WithPropagators(Propagator())),
		ginx.AccessLog(log), ginx.Observe(observer), ginx.Recovery(),
	)
	if len(cfg.Origins) > 0 {
		cors, err := ginx.CORS(ginx.CORSConfig{
			AllowOrigins: cfg.Origins, AllowCredentials: true,
			ExposeHeaders: []string{"x-jwt-token", "x-refresh-token", "RateLimit", "RateLimit-Policy", "Retry-After"},
		})
		if err != nil {
			return nil, err
		}
		e.Use(cors)
	}
	e.Use(perAddress, limit, deadline)
	e.NoRoute(ginx.NotFound())
	e.NoMethod(ginx.MethodNotAllowed())
	e.GET("/hello", ginx.Wrap(hello))
	for _, r := range routes {
		r.Register(e)
	}
	return e, nil
}

func hello(context.Context) (ginx.Result, error) {
	return ginx.Result{Msg: "hello from webook"}, nil
}

// Site joins the app with what people and orchestrators look at on the same port.
// Those pages poll, so they stay out of the access log and the request rates.
func Site(app, console http.Handler, probes *Probes) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case path == "/console" || strings.HasPrefix(path, "/console/"):
			console.ServeHTTP(w, r)
		case path == "/healthz" && reads(r):
			probes.Alive(w, r)
		case path == "/readyz" && reads(r):
			probes.Ready(w, r)
		default:
			app.ServeHTTP(w, r)
		}
	})
}

func reads(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }
