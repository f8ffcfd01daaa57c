package ginx_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/bulwark-go/bulwark/ginx"
	"github.com/gin-gonic/gin"
	"github.com/gin-gonic/gin/binding"
	"github.com/stretchr/testify/require"
)

type item struct {
	Name string `json:"item_name" binding:"required"`
}

type base struct {
	Page int `form:"page"`
}

type order struct {
	Title    string          `json:"title" binding:"required,max=5"`
	Age      int             `json:"age"`
	Price    float64         `json:"price"`
	Paid     bool            `json:"paid"`
	Tags     []string        `json:"tags"`
	Items    []item          `json:"items" binding:"dive"`
	ByName   map[string]item `json:"by_name" binding:"dive"`
	Owner    *item           `json:"owner"`
	Mail     string          `json:"mail" binding:"omitempty,email"`
	Color    string          `json:"color" binding:"omitempty,oneof=red blue"`
	Password string          `json:"password"`
	Repeat   string          `json:"repeat" binding:"eqfield=Password"`
}

// bodyServer answers what it bound.
func bodyServer[Req any](middleware ...gin.HandlerFunc) *gin.Engine {
	r := gin.New()
	r.Use(middleware...)
	h := func(_ context.Context, req Req) (ginx.Result, error) { return ginx.Result{Data: req}, nil }
	r.POST("/", ginx.WrapBody(h))
	r.POST("/:id", ginx.WrapBody(h))
	r.GET("/", ginx.WrapQuery(h))
	r.GET("/:id", ginx.WrapURI(h))
	return r
}

func TestBadInputIsRefusedInTheClientsWords(t *testing.T) {
	r := bodyServer[order]()
	for name, tc := range map[string]struct{ body, msg string }{
		"syntax":          {`{"title":`, "request body is not valid JSON (near byte 9)"},
		"garbage":         {`hello`, "request body is not valid JSON (near byte 1)"},
		"empty":           {``, "request body is empty"},
		"blank":           {" \r\n\t", "request body is empty"},
		"trailing":        {`{"title":"a"} {"title":"b"}`, "request body must hold a single JSON value"},
		"trailing brace":  {`{"title":"a"}}`, "request body must hold a single JSON value"},
		"not an object":   {`[1,2]`, "request body must be an object, not array"},
		"string for int":  {`{"title":"a","age":"old"}`, "age must be an integer, not string"},
		"float for int":   {`{"title":"a","age":1.5}`, "age must be an integer, not number"},
		"number for text": {`{"title":7}`, "title must be a string, not number"},
		"text for bool":   {`{"title":"a","paid":"no"}`, "paid must be true or false, not string"},
		"text for float":  {`{"title":"a","price":"9"}`, "price must be a number, not string"},
		"object for list": {`{"title":"a","tags":{}}`, "tags must be an array, not object"},
		"nested":          {`{"title":"a","owner":{"item_name":3}}`, "owner.item_name must be a string, not number"},
		"required":        {`{}`, "title is required"},
		"null":            {`null`, "title is required"},
		"too long":        {`{"title":"abcdef"}`, "title must be at most 5 long"},
		"in a list":       {`{"title":"a","items":[{"item_name":"x"},{}]}`, "items[1].item_name is required"},
		"in a map":        {`{"title":"a","by_name":{"a.b":{}}}`, "by_name[a.b].item_name is required"},
		"below pointer":   {`{"title":"a","owner":{}}`, "owner.item_name is required"},
		"email":           {`{"title":"a","mail":"x"}`, "mail must be an e-mail address"},
		"oneof":           {`{"title":"a","color":"green"}`, "color must be one of: red blue"},
		"other rule":      {`{"title":"a","password":"x","repeat":"y"}`, "repeat is invalid"},
		"two at once":     {`{"mail":"x"}`, "title is required; mail must be an e-mail address"},
	} {
		t.Run(name, func(t *testing.T) {
			w := post(r, "/", tc.body)
			require.Equal(t, http.StatusBadRequest, w.Code)
			require.Equal(t, "application/json; charset=utf-8", w.Header().Get("Content-Type"))
			got := parse(t, w)
			require.Equal(t, ginx.CodeClient, got.Code)
			require.Equal(t, tc.msg, got.Msg)
		})
	}
}

func TestOnlyDeclaredJSONIsRead(t *testing.T) {
	r := bodyServer[order]()
	for contentType, status := range map[string]int{
		"application/json": 200, "application/json; charset=utf-8": 200, "Application/JSON": 200,
		"application/vnd.api+json": 200,
		"":                         415, "text/plain": 415, "application/x-www-form-urlencoded": 415,
		"multipart/form-data": 415, "text/json+json": 415, "application/jsonp": 415,
	} {
		t.Run(contentType, func(t *testing.T) {
			req := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{"title":"a"}`))
			if contentType != "" {
				req.Header.Set("Content-Type", contentType)
			}
			w := do(r, req)
			require.Equal(t, status, w.Code)
			require.Equal(t, status != 200, parse(t, w).Code != 0)
		})
	}
}

type paging struct {
	Page int `form:"page" binding:"gte=1"`
}

type search struct {
	paging
	Word  string `form:"q" binding:"len=3"`
	Agent string `header:"X-Agent" binding:"required"`
	Bare  int    `binding:"required"`
}

func TestRulesNameParametersAsClientsDo(t *testing.T) {
	w := get(bodyServer[search](), "/?q=abcd")
	require.Equal(t, http.StatusBadRequest, w.Code)
	require.Equal(t, "page must be at least 1; q must be exactly 3 long; X-Agent is required; Bare is required", parse(t, w).Msg)
}

func TestMessagesStayShort(t *testing.T) {
	r := bodyServer[order]()
	list := `{"title":"a","items":[` + strings.Repeat(`{},`, 5000) + `{}]}`
	require.Less(t, len(parse(t, post(r, "/", list)).Msg), 8*160)
	key := `{"title":"a","by_name":{"` + strings.Repeat("k", 10_000) + `":{}}}`
	require.Less(t, len(parse(t, post(r, "/", key)).Msg), 160)
	number := `{"title":` + strings.Repeat("9", 10_000) + `}`
	require.Equal(t, "title must be a string, not number", parse(t, post(r, "/", number)).Msg)
}

func TestGinsOwnSwitchesAreHonoured(t *testing.T) {
	type anything struct {
		V any `json:"v"`
	}
	r := bodyServer[anything]()
	const exact = `{"v":9007199254740993}`
	require.JSONEq(t, `{"v":9007199254740992}`, string(parse(t, post(r, "/", exact)).Data))
	require.Equal(t, http.StatusOK, post(r, "/", `{"w":1}`).Code)

	binding.EnableDecoderUseNumber, binding.EnableDecoderDisallowUnknownFields = true, true
	defer func() { binding.EnableDecoderUseNumber, binding.EnableDecoderDisallowUnknownFields = false, false }()
	require.Equal(t, `{"v":9007199254740993}`, string(parse(t, post(r, "/", exact)).Data))
	require.Equal(t, `request body has a field that is not known: "w"`, parse(t, post(r, "/", `{"w":1}`)).Msg)
	require.Equal(t, "request body must hold a single JSON value", parse(t, post(r, "/", `{"v":1} x`)).Msg)
	require.Equal(t, "request body is not valid JSON", parse(t, post(r, "/", `{"v":`)).Msg)
}

type clock struct {
	At time.Time `json:"at"`
}

func TestValuesOfTheWrongFormatAreRefused(t *testing.T) {
	w := post(bodyServer[clock](), "/", `{"at":"tomorrow"}`)
	require.Equal(t, http.StatusBadRequest, w.Code)
	require.Equal(t, "at has the wrong format", parse(t, w).Msg)
}

type scattered struct {
	base
	ID      int64         `uri:"id"`
	Size    uint8         `form:"size,default=10"`
	Deep    bool          `form:"deep"`
	Tags    []string      `form:"tag"`
	Since   time.Time     `form:"since" time_format:"2006-01-02" time_utc:"1"`
	Wait    time.Duration `form:"wait"`
	Ratio   *float64      `form:"ratio"`
	Agent   string        `header:"User-Agent"`
	Either  string        `form:"either" json:"either"`
	Title   string        `json:"title"`
	Admin   bool
	Between struct {
		Low int `form:"low"`
	}
}

func TestBindFillsEveryTaggedField(t *testing.T) {
	r := bodyServer[scattered]()
	req := jsonRequest("/42?page=2&deep=true&tag=a&tag=b&since=2024-05-06&wait=3s&ratio=0.5&low=7&either=query",
		strings.NewReader(`{"title":"T"}`))
	req.Header.Set("User-Agent", "test/1")
	w := do(r, req)
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	var got scattered
	require.NoError(t, json.Unmarshal(parse(t, w).Data, &got))
	half := 0.5
	want := scattered{
		base: base{Page: 2}, ID: 42, Size: 10, Deep: true, Tags: []string{"a", "b"}, Wait: 3 * time.Second,
		Since: time.Date(2024, 5, 6, 0, 0, 0, 0, time.UTC), Ratio: &half, Agent: "test/1", Title: "T", Either: "query",
	}
	want.Between.Low = 7
	require.Equal(t, want, got)

	for name, target := range map[string]string{"query": "/?page=2&low=7&size=3", "uri": "/9?page=2&low=7&size=3"} {
		w := get(r, target)
		require.Equal(t, http.StatusOK, w.Code, name)
		got = scattered{}
		require.NoError(t, json.Unmarshal(parse(t, w).Data, &got))
		require.Equal(t, 2, got.Page)
		require.EqualValues(t, 3, got.Size)
	}
}

func TestDefaultsStandInForWhatNobodySaid(t *testing.T) {
	type page struct {
		Size int `json:"size" form:"size,default=10"`
	}
	r := bodyServer[page]()
	for target, want := range map[string]string{
		`/ {"size":5}`: `{"size":5}`, `/ {}`: `{"size":10}`, `/?size=7 {"size":5}`: `{"size":7}`,
	} {
		path, body, _ := strings.Cut(target, " ")
		require.JSONEq(t, want, string(parse(t, post(r, path, body)).Data), target)
	}
}

func TestFieldsComeFromWhereTheirTagSays(t *testing.T) {
	r := bodyServer[scattered]()
	t.Run("the query does not reach untagged fields", func(t *testing.T) {
		var got scattered
		require.NoError(t, json.Unmarshal(parse(t, get(r, "/?Admin=true&admin=true&Title=x&title=x")).Data, &got))
		require.False(t, got.Admin)
		require.Empty(t, got.Title)
	})
	t.Run("headers do not either", func(t *testing.T) {
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.Header.Set("Admin", "true")
		var got scattered
		require.NoError(t, json.Unmarshal(parse(t, do(r, req)).Data, &got))
		require.False(t, got.Admin)
	})
	t.Run("the body does not reach tagged fields", func(t *testing.T) {
		req := jsonRequest("/", strings.NewReader(`{"ID":9,"Agent":"forged","Deep":true,"either":"body"}`))
		var got scattered
		require.NoError(t, json.Unmarshal(parse(t, do(r, req)).Data, &got))
		require.Zero(t, got.ID)
		require.Empty(t, got.Agent)
		require.False(t, got.Deep)
		require.Equal(t, "body", got.Either)
	})
}

func TestWrongParametersAreNamed(t *testing.T) {
	r := bodyServer[scattered]()
	for target, msg := range map[string]string{
		"/abc":                  "id must be an integer",
		"/?page=x":              "page must be an integer",
		"/?size=256":            "size must be an integer",
		"/?size=-1":             "size must be an integer",
		"/?deep=perhaps":        "deep must be true or false",
		"/?since=May":           "since must be a time",
		"/?wait=long":           "wait must be a duration",
		"/?ratio=x":             "ratio must be a number",
		"/99999999999999999999": "id must be an integer",
	} {
		t.Run(target, func(t *testing.T) {
			w := get(r, target)
			require.Equal(t, http.StatusBadRequest, w.Code)
			require.Equal(t, reply{Code: 4, Msg: msg, Data: json.RawMessage("null")}, parse(t, w))
		})
	}
}

func TestTagsThatCanNeverWorkAreReported(t *testing.T) {
	type hidden struct {
		id int64 `uri:"id"`
	}
	type hiddenQuery struct {
		page int `form:"page"`
	}
	type misfit struct {
		Paid bool `json:"paid" binding:"nosuchrule"`
	}
	_, _ = hidden{}.id, hiddenQuery{}.page
	type untagged struct{ Page int }
	type Paging struct {
		Page int `form:"page"`
	}
	type embedding struct {
		*Paging
		Name string `json:"name"`
	}
	byMap := func(middleware ...gin.HandlerFunc) *gin.Engine {
		r := gin.New()
		r.Use(middleware...)
		r.POST("/", ginx.WrapQuery(func(context.Context, map[string]string) (ginx.Result, error) { return ginx.Result{}, nil }))
		return r
	}
	byQuery := func(middleware ...gin.HandlerFunc) *gin.Engine {
		r := gin.New()
		r.Use(middleware...)
		r.POST("/", ginx.WrapQuery(func(context.Context, untagged) (ginx.Result, error) { return ginx.Result{}, nil }))
		return r
	}
	for name, tc := range map[string]struct {
		engine func(...gin.HandlerFunc) *gin.Engine
		cause  string
	}{
		"unexported":       {bodyServer[hidden], "hidden.id has a uri tag but is unexported"},
		"unexported query": {bodyServer[hiddenQuery], "hiddenQuery.page has a form tag but is unexported"},
		"unknown rule":     {bodyServer[misfit], "nosuchrule"},
		"embedded pointer": {bodyServer[embedding], "embedding embeds *ginx_test.Paging by pointer"},
		"no struct":        {byMap, "map[string]string is no struct"},
		"no tag at all":    {byQuery, "no field of ginx_test.untagged has a uri, form or header tag"},
	} {
		t.Run(name, func(t *testing.T) {
			log, lines := newLog()
			w := post(tc.engine(ginx.AccessLog(log)), "/", `{"id":7}`)
			require.Equal(t, http.StatusInternalServerError, w.Code)
			require.Equal(t, ginx.CodeSystem, parse(t, w).Code)
			require.NotContains(t, w.Body.String(), "nosuchrule")
			require.Contains(t, lines.only(t).text("error"), tc.cause)
		})
	}
}

type span struct {
	From int `json:"from"`
	To   int `json:"to"`
}

var errLeaky = errors.New("regexp: internal detail")

func (s *span) Validate() error {
	switch {
	case s.From < 0:
		return errLeaky
	case s.To < s.From:
		return ginx.InvalidField("to", "must not be before from")
	}
	return nil
}

type spanByValue struct{ From int }

func (s spanByValue) Validate() error { return ginx.NewError(402001, "always wrong") }

func TestRequestsCheckThemselves(t *testing.T) {
	r := bodyServer[span]()
	require.Equal(t, http.StatusOK, post(r, "/", `{"from":1,"to":2}`).Code)
	w := post(r, "/", `{"from":3,"to":2}`)
	require.Equal(t, http.StatusBadRequest, w.Code)
	require.Equal(t, "to must not be before from", parse(t, w).Msg)
	w = post(r, "/", `{"from":-1}`)
	require.Equal(t, http.StatusBadRequest, w.Code)
	require.Equal(t, "invalid request", parse(t, w).Msg, "other errors stay inside")

	require.Equal(t, 402001, parse(t, post(bodyServer[spanByValue](), "/", `{}`)).Code)
	require.Equal(t, "to must not be before from", parse(t, post(bodyServer[*span](), "/", `{"from":3,"to":2}`)).Msg)
}

func TestRequestsNeedNotBeStructs(t *testing.T) {
	require.JSONEq(t, `[1,2]`, string(parse(t, post(bodyServer[[]int](), "/", `[1,2]`)).Data))
	require.JSONEq(t, `{"a":1}`, string(parse(t, post(bodyServer[map[string]int](), "/", `{"a":1}`)).Data))
	require.Equal(t, "request body must be an array, not object", parse(t, post(bodyServer[[]int](), "/", `{}`)).Msg)
	require.Equal(t, "an element: item_name is required", parse(t, post(bodyServer[[]item](), "/", `[{"item_name":"a"},{}]`)).Msg)
	require.JSONEq(t, `{"item_name":"a"}`, string(parse(t, post(bodyServer[*item](), "/", `{"item_name":"a"}`)).Data))
	require.Equal(t, http.StatusBadRequest, post(bodyServer[*item](), "/", `null`).Code)
}

func FuzzBindNeverPanicsAndAlwaysAnswersInTheEnvelope(f *testing.F) {
	for _, s := range []string{`{"title":"a"}`, `{`, `[]`, `{"items":[{}]}`, "\xff", `{"by_name":{"[":{}}}`, `{"by_name":{"].":{}}}`} {
		f.Add(s)
	}
	silent, _ := newLog()
	r := bodyServer[order](ginx.AccessLog(silent, ginx.WithRequestBody(), ginx.WithResponseBody()))
	f.Fuzz(func(t *testing.T, body string) {
		w := post(r, "/", body)
		got := parse(t, w)
		require.Equal(t, w.Code != 200, got.Code != 0)
	})
}
