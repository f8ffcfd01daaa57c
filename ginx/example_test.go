package ginx_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/bulwark-go/bulwark/ginx"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/observe"
	"github.com/gin-gonic/gin"
)

// Claims is what the login middleware finds out.
type Claims struct{ UserID int64 }

// PublishReq is a request body.
type PublishReq struct {
	Title string `json:"title" binding:"required,max=50"`
	Body  string `json:"body"`
}

// Validate checks what tags can not say.
func (r PublishReq) Validate() error {
	if strings.Contains(r.Title, r.Body) && r.Body != "" {
		return ginx.InvalidField("body", "must say more than the title")
	}
	return nil
}

var errBanned = ginx.NewError(402003, "you may not publish")

// publish is a handler: a function of typed input. What goes wrong it returns.
func publish(ctx context.Context, req PublishReq, claims Claims) (ginx.Result, error) {
	if claims.UserID == 13 {
		return ginx.Result{}, fmt.Errorf("publish: %w", errBanned.WithCause(errors.New("user 13 is on the list")))
	}
	return ginx.Result{Data: map[string]any{"id": 1, "title": req.Title}}, nil
}

// login stands for a real login middleware, such as the one of ginx/session.
func login(c *gin.Context) {
	var id int64
	if _, err := fmt.Sscanf(c.GetHeader("Authorization"), "Bearer user-%d", &id); err != nil {
		return // the handlers that need claims answer 401
	}
	ginx.SetClaims(c, Claims{UserID: id})
	ginx.SetUser(c, fmt.Sprint(id))
}

// A small server, from the middleware to the answers.
func Example() {
	var log logger.Logger // logger.New(mask.New(zaplog.New(zapLogger)))
	var observer = observe.Nop()

	cors, err := ginx.CORS(ginx.CORSConfig{
		AllowOrigins:     []string{"http://localhost:3000", "https://*.webook.com"},
		ExposeHeaders:    []string{"x-jwt-token", "x-refresh-token"},
		AllowCredentials: true,
	})
	if err != nil {
		panic(err)
	}
	timeout, err := ginx.Timeout(3 * time.Second)
	if err != nil {
		panic(err)
	}

	r := gin.New()
	r.NoRoute(ginx.NotFound())
	r.Use(ginx.AccessLog(log), ginx.Observe(observer), ginx.Recovery(), cors, timeout, login)
	r.POST("/articles/publish", ginx.WrapBodyClaims(publish))

	server := httptest.NewServer(r)
	defer server.Close()
	call := func(path, user, body string) {
		req, _ := http.NewRequest(http.MethodPost, server.URL+path, strings.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+user)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			panic(err)
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		fmt.Println(resp.StatusCode, string(text))
	}
	call("/articles/publish", "user-7", `{"title":"Hello","body":"Hello, world"}`)
	call("/articles/publish", "user-7", `{"body":"no title"}`)
	call("/articles/publish", "user-7", `{"title":5}`)
	call("/articles/publish", "user-7", `{"title":"Hello","body":"Hello"}`)
	call("/articles/publish", "user-13", `{"title":"Hello"}`)
	call("/articles/publish", "nobody", `{"title":"Hello"}`)
	call("/elsewhere", "user-7", `{}`)
	http.DefaultClient.CloseIdleConnections()
	// Output:
	// 200 {"code":0,"msg":"","data":{"id":1,"title":"Hello"}}
	// 400 {"code":4,"msg":"title is required","data":null}
	// 400 {"code":4,"msg":"title must be a string, not number","data":null}
	// 400 {"code":4,"msg":"body must say more than the title","data":null}
	// 200 {"code":402003,"msg":"you may not publish","data":null}
	// 401 {"code":4,"msg":"login required","data":null}
	// 404 {"code":4,"msg":"not found","data":null}
}

func ExampleNewError() {
	errDuplicate := ginx.NewError(401003, "duplicate e-mail")
	err := fmt.Errorf("sign up: %w", errDuplicate.WithCause(errors.New("unique index users.email")))
	fmt.Println(err)
	fmt.Println(errors.Is(err, errDuplicate))
	// Output:
	// sign up: duplicate e-mail (code 401003): unique index users.email
	// true
}

func ExampleWrapStream() {
	type req struct {
		Upto int `form:"upto"`
	}
	r := gin.New()
	r.GET("/count", ginx.WrapStream(func(ctx context.Context, q req, s *ginx.Stream) error {
		for i := range q.Upto {
			if err := s.Send(ginx.Event{Name: "tick", Data: i}); err != nil {
				return err
			}
		}
		return nil
	}))
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/count?upto=2", nil))
	fmt.Print(w.Body)
	// Output:
	// event: tick
	// data: 0
	//
	// event: tick
	// data: 1
}

func ExampleDetach() {
	done := make(chan struct{})
	r := gin.New()
	r.GET("/", ginx.Wrap(func(ctx context.Context) (ginx.Result, error) {
		background, cancel := ginx.Detach(ctx, time.Second)
		go func() {
			defer close(done)
			defer cancel()
			fmt.Println("still alive:", background.Err() == nil)
		}()
		return ginx.Result{Msg: "on its way"}, nil
	}))
	ctx, cancel := context.WithCancel(context.Background())
	r.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx))
	cancel() // net/http does so when the handler returns
	<-done
	// Output: still alive: true
}

func ExampleBodyLimit() {
	limit, err := ginx.BodyLimit(10)
	fmt.Println(err)
	r := gin.New()
	r.POST("/", limit, ginx.WrapBody(func(_ context.Context, tags []string) (ginx.Result, error) {
		return ginx.Result{Data: len(tags)}, nil
	}))
	w := httptest.NewRecorder()
	req := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`["a","b","c"]`))
	req.Header.Set("Content-Type", "application/json")
	r.ServeHTTP(w, req)
	fmt.Println(w.Code, w.Body)
	// Output:
	// <nil>
	// 413 {"code":4,"msg":"request body is larger than 10 bytes","data":null}
}

func ExampleCORS() {
	_, err := ginx.CORS(ginx.CORSConfig{AllowOrigins: []string{"*"}, AllowCredentials: true})
	fmt.Println(err)
	// Output: ginx: CORSConfig.AllowOrigins: "*": any page could act for the user: name the origins, or do without credentials
}
