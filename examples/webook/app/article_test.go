package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/examples/webook/config"
)

// article is an article in an answer, as author or reader.
type article struct {
	ID       int64
	Title    string
	Abstract string
	Content  string
	Status   int
	Ctime    string
	Utime    string
	AuthorID int64
	// AuthorName and the counts are for readers.
	AuthorName                   string
	ReadCnt, LikeCnt, CollectCnt int64
	Liked, Collected             bool
}

func (a answer) article(t *testing.T) (one article) {
	t.Helper()
	require.Zero(t, a.Code, a.raw)
	require.NoError(t, json.Unmarshal(a.Data, &one))
	return one
}

func (a answer) articles(t *testing.T) (list []article) {
	t.Helper()
	require.Zero(t, a.Code, a.raw)
	require.NoError(t, json.Unmarshal(a.Data, &list))
	require.NotNil(t, list, "an empty list is []")
	return list
}

func (a answer) id(t *testing.T) (id int64) {
	t.Helper()
	require.Zero(t, a.Code, a.raw)
	require.NoError(t, json.Unmarshal(a.Data, &id))
	require.Positive(t, id)
	return id
}

func draft(t *testing.T, id int64, title, content string) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{"id": id, "title": title, "content": content})
	require.NoError(t, err)
	return string(text)
}

func (i *instance) edit(t *testing.T, token string, id int64, title, content string) answer {
	t.Helper()
	return i.call(t, http.MethodPost, "/articles/edit", token, draft(t, id, title, content))
}

func (i *instance) publish(t *testing.T, token string, id int64, title, content string) answer {
	t.Helper()
	return i.call(t, http.MethodPost, "/articles/publish", token, draft(t, id, title, content))
}

func (i *instance) withdraw(t *testing.T, token string, id int64) answer {
	t.Helper()
	return i.call(t, http.MethodPost, "/articles/withdraw", token, fmt.Sprintf(`{"id":%d}`, id))
}

func (i *instance) detail(t *testing.T, token string, id int64) answer {
	t.Helper()
	return i.call(t, http.MethodGet, "/articles/detail/"+strconv.FormatInt(id, 10), token, "")
}

func (i *instance) read(t *testing.T, token string, id int64) answer {
	t.Helper()
	return i.call(t, http.MethodGet, "/articles/pub/"+strconv.FormatInt(id, 10), token, "")
}

func (i *instance) list(t *testing.T, token string, offset, limit int) []article {
	t.Helper()
	return i.call(t, http.MethodPost, "/articles/list", token, fmt.Sprintf(`{"offset":%d,"limit":%d}`, offset, limit)).articles(t)
}

func unreadable(t *testing.T, a answer) {
	t.Helper()
	require.Equal(t, http.StatusNotFound, a.status, a.raw)
	require.Equal(t, 402003, a.Code)
}

// The statuses of the contract.
const unpublished, published, private = 1, 2, 3

func TestAnArticleFromDraftToWithdrawal(t *testing.T) {
	for _, way := range []string{config.PublishStore, config.PublishRepository, config.PublishService} {
		t.Run(way, func(t *testing.T) {
			cfg := testConfig(t)
			cfg.Articles.Publish = way
			journey(t, start(t, cfg))
		})
	}
}

func TestAnArticleWhoseContentIsInS3(t *testing.T) {
	cfg := testConfig(t)
	if cfg.DB.Driver != "" {
		t.Skip("only the embedded app brings an object store")
	}
	cfg.Articles.Storage, cfg.Data = config.StorageS3, t.TempDir()
	i := start(t, cfg)
	journey(t, i)
	ann := i.call(t, http.MethodPost, "/users/login", "", credentials("ann@example.com")).access()
	id := i.list(t, ann, 0, 1)[0].ID
	require.NoError(t, i.stop())
	require.Equal(t, "<p>four</p>", start(t, cfg).read(t, "", id).article(t).Content, "it is on disk, as the table is")
}

func journey(t *testing.T, i *instance) {
	ann, bob := i.login(t, "ann@example.com").access(), i.login(t, "bob@example.com").access()
	require.Zero(t, i.call(t, http.MethodPost, "/users/edit", ann, `{"nickname":"阿安"}`).Code)

	id := i.edit(t, ann, 0, "First", "<p>one</p>").id(t)
	unreadable(t, i.read(t, bob, id))
	require.Equal(t, unpublished, i.detail(t, ann, id).article(t).Status)

	require.Equal(t, id, i.publish(t, ann, id, "Second", "<p>two</p>").id(t))
	for _, token := range []string{ann, bob, "", "null"} {
		read := i.read(t, token, id).article(t)
		require.Equal(t, "Second", read.Title)
		require.Equal(t, "<p>two</p>", read.Content)
		require.Equal(t, "two", read.Abstract)
		require.Equal(t, published, read.Status)
		require.Equal(t, "阿安", read.AuthorName)
	}
	own := i.detail(t, ann, id).article(t)
	require.Equal(t, published, own.Status)
	require.Equal(t, "<p>two</p>", own.Content)

	require.Equal(t, id, i.edit(t, ann, id, "Third", "<p>three</p>").id(t))
	require.Equal(t, unpublished, i.detail(t, ann, id).article(t).Status)
	require.Equal(t, "Third", i.detail(t, ann, id).article(t).Title)
	require.Equal(t, "Second", i.read(t, bob, id).article(t).Title, "readers keep what was published")

	require.Zero(t, i.withdraw(t, ann, id).Code)
	unreadable(t, i.read(t, bob, id))
	unreadable(t, i.read(t, ann, id))
	require.Equal(t, private, i.detail(t, ann, id).article(t).Status)
	require.Zero(t, i.withdraw(t, ann, id).Code, "twice is as good as once")

	require.Equal(t, id, i.publish(t, ann, id, "Fourth", "<p>four</p>").id(t))
	require.Equal(t, "Fourth", i.read(t, bob, id).article(t).Title)
	require.Len(t, i.list(t, ann, 0, 10), 1, "it has been one article all the time")
}

func TestAnswersHaveTheShapesOfTheContract(t *testing.T) {
	i := start(t, testConfig(t))
	ann := i.login(t, "ann@example.com").access()
	id := i.publish(t, ann, 0, "Title", "<p>text</p>").id(t)
	keys := func(raw json.RawMessage) (names []string) {
		var m map[string]any
		require.NoError(t, json.Unmarshal(raw, &m), string(raw))
		for _, key := range []string{"ctime", "utime"} {
			at, err := time.ParseInLocation(time.DateTime, m[key].(string), time.Local)
			require.NoError(t, err)
			require.WithinDuration(t, time.Now(), at, time.Minute)
		}
		for name := range m {
			names = append(names, name)
		}
		return names
	}
	item := []string{"id", "title", "abstract", "status", "ctime", "utime"}
	detail := append(item, "content", "authorId")
	reading := append(detail, "authorName", "readCnt", "likeCnt", "collectCnt", "liked", "collected")
	var list []json.RawMessage
	require.NoError(t, json.Unmarshal(i.call(t, http.MethodPost, "/articles/list", ann, `{"offset":0,"limit":10}`).Data, &list))
	require.ElementsMatch(t, item, keys(list[0]))
	require.ElementsMatch(t, detail, keys(i.detail(t, ann, id).Data))
	require.ElementsMatch(t, detail, keys(i.call(t, http.MethodPost, fmt.Sprintf("/articles/detail/%d", id), ann, "").Data), "some front ends use POST")
	require.ElementsMatch(t, reading, keys(i.read(t, ann, id).Data))
}

// All of it goes to the condition of the update: nobody is asked first.
func TestOnlyTheAuthorChangesAnArticle(t *testing.T) {
	i := start(t, testConfig(t))
	ann, bob := i.login(t, "ann@example.com").access(), i.login(t, "bob@example.com").access()
	id := i.publish(t, ann, 0, "Ann's", "<p>hers</p>").id(t)
	bobs := i.publish(t, bob, 0, "Bob's", "<p>his</p>").id(t)
	const nobodys = 1 << 40
	for name, attempt := range map[string]func(id int64) answer{
		"edit":     func(id int64) answer { return i.edit(t, bob, id, "x", "y") },
		"publish":  func(id int64) answer { return i.publish(t, bob, id, "x", "y") },
		"withdraw": func(id int64) answer { return i.withdraw(t, bob, id) },
	} {
		t.Run(name, func(t *testing.T) {
			theirs, missing := attempt(id), attempt(nobodys)
			require.Equal(t, http.StatusOK, theirs.status)
			require.Equal(t, 402002, theirs.Code)
			require.JSONEq(t, missing.raw, theirs.raw, "the answer does not tell which ids there are")
		})
	}
	unreadable(t, i.detail(t, bob, id))
	i.detail(t, ann, id) // now there is a copy in the cache
	unreadable(t, i.detail(t, bob, id))
	require.Equal(t, "Ann's", i.read(t, bob, id).article(t).Title)
	require.Equal(t, published, i.detail(t, ann, id).article(t).Status)
	require.Equal(t, "Bob's", i.read(t, ann, bobs).article(t).Title)
	require.Len(t, i.list(t, bob, 0, 10), 1)

	_, metrics := get(t, i.MetricsURL()+"/metrics")
	for _, operation := range []string{"save", "publish", "withdraw"} {
		require.Contains(t, metrics, `webook_article_zero_rows_total{operation="`+operation+`"} 2`)
	}
}

// The id of the article is the id of a user: who mixes the two up hides another's.
func TestWithdrawDoesNotMixUpArticleAndAuthor(t *testing.T) {
	i := start(t, testConfig(t))
	tokens := map[int64]string{}
	var ids []int64
	for n := range 6 {
		token := i.login(t, fmt.Sprintf("u%d@example.com", n)).access()
		id := i.publish(t, token, 0, "mine", "<p>x</p>").id(t)
		tokens[id], ids = token, append(ids, id)
	}
	mine := ids[len(ids)-1]
	require.Zero(t, i.withdraw(t, tokens[mine], mine).Code)
	for _, id := range ids {
		if id == mine {
			unreadable(t, i.read(t, "", id))
			continue
		}
		i.read(t, "", id).article(t)
	}
}

func TestBadArticlesAreRefused(t *testing.T) {
	cfg := testConfig(t)
	cfg.Articles.TitleMax, cfg.Articles.ContentMax = 10, 2048
	i := start(t, cfg)
	login := i.login(t, "ann@example.com")
	ann := login.access()
	post, get := http.MethodPost, http.MethodGet
	han := strings.Repeat("熔", 10)
	for _, b := range []bad{
		{name: "long title", path: "/articles/edit", body: draft(t, 0, han+"断", ""), status: 200, code: 402001},
		{name: "title cut in a character", path: "/articles/edit", body: `{"title":"` + han[:len(han)-1] + `"}`, status: 200, code: 402001},
		{name: "unpaired surrogate", path: "/articles/edit", body: `{"title":"\ud83d"}`, status: 200, code: 402001},
		{name: "control characters", path: "/articles/edit", body: `{"title":"a\u0007b"}`, status: 200, code: 402001},
		{name: "publish without a title", path: "/articles/publish", body: draft(t, 0, " ", "<p>x</p>"), status: 200, code: 402001},
		{name: "publish a title of tags", path: "/articles/publish", body: draft(t, 0, "<b></b>", "<p>x</p>"), status: 200, code: 402001},
		{name: "long content", path: "/articles/edit", body: draft(t, 0, "a", strings.Repeat("x", 3000)), status: 200, code: 402001},
		{name: "content that grows", path: "/articles/edit", body: draft(t, 0, "a", strings.Repeat("<", 1500)), status: 200, code: 402001},
		{name: "huge body", path: "/articles/publish", body: draft(t, 0, "a", strings.Repeat("x", 2<<20)), status: 413, code: 4},
		{name: "negative id", path: "/articles/edit", body: draft(t, -1, "a", ""), status: 400, code: 4},
		{name: "text as id", path: "/articles/edit", body: `{"id":"1","title":"a"}`, status: 400, code: 4},
		{name: "malformed", path: "/articles/publish", body: `{"title":`, status: 400, code: 4},
		{name: "withdraw nothing", path: "/articles/withdraw", body: `{}`, status: 400, code: 4},
		{name: "negative offset", path: "/articles/list", body: `{"offset":-1,"limit":10}`, status: 400, code: 4},
		{name: "negative limit", path: "/articles/list", body: `{"offset":0,"limit":-1}`, status: 400, code: 4},
		{name: "endless limit", path: "/articles/list", body: `{"offset":0,"limit":1001}`, status: 400, code: 4},
		{name: "detail of no number", method: get, path: "/articles/detail/x", status: 400, code: 4},
		{name: "detail of zero", method: get, path: "/articles/detail/0", status: 400, code: 4},
		{name: "detail beyond a number", method: get, path: "/articles/detail/99999999999999999999", status: 400, code: 4},
		{name: "read no number", method: get, path: "/articles/pub/x", status: 400, code: 4},
		{name: "read nothing", method: get, path: "/articles/pub/12345678", status: 404, code: 402003},
		{name: "detail of nothing", method: get, path: "/articles/detail/12345678", status: 404, code: 402003},
	} {
		t.Run(b.name, func(t *testing.T) {
			if b.token = ann; b.method == "" {
				b.method = post
			}
			a := i.send(t, b)
			require.Equal(t, b.status, a.status, a.raw)
			require.Equal(t, b.code, a.Code, a.raw)
			require.NotEmpty(t, a.Msg)
		})
	}
	for _, path := range []string{"/articles/edit", "/articles/publish", "/articles/withdraw", "/articles/list"} {
		require.Equal(t, http.StatusUnauthorized, i.call(t, post, path, "", `{"id":1}`).status, path)
	}
	require.Equal(t, http.StatusUnauthorized, i.call(t, get, "/articles/detail/1", "null", "").status)
	require.Empty(t, i.list(t, ann, 0, 10), "nothing of it was kept")
	id := i.publish(t, ann, 0, han, "<p>"+han+"</p>").id(t)
	require.Equal(t, han, i.read(t, "", id).article(t).Title, "ten characters are ten, however many bytes")
}

func TestScriptsDoNotReachReaders(t *testing.T) {
	i := start(t, testConfig(t))
	ann := i.login(t, "ann@example.com").access()
	content := `<h2 onclick="steal()">Head</h2><script>alert(1)</script><p>text<img src=x onerror=alert(1)></p>` +
		`<a href="javascript:alert(1)">link</a><iframe src="https://evil.example"></iframe><p>&lt;script&gt;shown&lt;/script&gt;</p>`
	id := i.publish(t, ann, 0, `<script>alert(1)</script>Title & <b>more</b>`, content).id(t)
	list := i.list(t, ann, 0, 10)
	for _, a := range []article{i.read(t, "", id).article(t), i.detail(t, ann, id).article(t), list[0]} {
		require.Equal(t, "Title & more", a.Title)
		require.Equal(t, "Head text link &lt;script&gt;shown&lt;/script&gt;", a.Abstract, "what pages show as HTML stays text")
		for _, evil := range []string{"<script", "onerror", "onclick", "javascript:", "iframe"} {
			require.NotContains(t, a.Content, evil)
		}
	}
	require.Contains(t, i.read(t, "", id).article(t).Content, "&lt;script&gt;shown")
}

func TestAbstractsEndBetweenCharacters(t *testing.T) {
	i := start(t, testConfig(t))
	ann := i.login(t, "ann@example.com").access()
	for n := range 4 {
		id := i.publish(t, ann, 0, "t", "<p>"+strings.Repeat("a", n)+strings.Repeat("断", 300)+"</p>").id(t)
		abstract := i.read(t, "", id).article(t).Abstract
		require.True(t, utf8.ValidString(abstract))
		require.NotContains(t, abstract, "\ufffd")
		require.Equal(t, 128, utf8.RuneCountInString(abstract))
	}
}

func TestTheFirstPageHonoursTheLimitAndShowsChangesAtOnce(t *testing.T) {
	i := start(t, testConfig(t))
	ann := i.login(t, "ann@example.com").access()
	require.Empty(t, i.list(t, ann, 0, 10))
	var ids []int64
	for n := range 5 {
		ids = append(ids, i.edit(t, ann, 0, fmt.Sprint("a", n), "<p>x</p>").id(t))
	}
	for _, limit := range []int{2, 5, 1, 100, 3} {
		list := i.list(t, ann, 0, limit)
		require.Len(t, list, min(limit, 5))
		require.Equal(t, "a4", list[0].Title)
	}
	require.Len(t, i.list(t, ann, 3, 10), 2)
	require.Len(t, i.list(t, ann, 0, 0), 5, "a list without a limit has a moderate one")
	require.Equal(t, "a2", i.list(t, ann, 2, 1)[0].Title)
	for name, change := range map[string]func(){
		"edit":     func() { i.edit(t, ann, ids[0], "edited", "<p>x</p>").id(t) },
		"publish":  func() { i.publish(t, ann, ids[1], "published", "<p>x</p>").id(t) },
		"withdraw": func() { require.Zero(t, i.withdraw(t, ann, ids[2]).Code) },
		"create":   func() { i.edit(t, ann, 0, "created", "<p>x</p>").id(t) },
	} {
		before := i.list(t, ann, 0, 10)
		change()
		require.NotEqual(t, before, i.list(t, ann, 0, 10), name)
	}
}

func TestReadsComeFromTheCache(t *testing.T) {
	i := start(t, testConfig(t))
	ann := i.login(t, "ann@example.com").access()
	id := i.publish(t, ann, 0, "t", "<p>x</p>").id(t)
	for range 3 {
		i.read(t, "", id).article(t)
		i.list(t, ann, 0, 10)
		i.detail(t, ann, id).article(t)
	}
	_, metrics := get(t, i.MetricsURL()+"/metrics")
	for _, want := range []string{
		`{copy="published",outcome="ok",result="hit"} 3`, // publishing put it there
		`{copy="first_page",outcome="ok",result="hit"} 2`,
		`{copy="draft",outcome="ok",result="hit"} 3`, // the list preloads its first
	} {
		require.Contains(t, metrics, "webook_article_cache_read_total"+want)
	}
	require.NotContains(t, metrics, `webook_article_cache_read_total{copy="draft",outcome="ok",result="miss"}`)
}

func TestTwoWhoPublishAtOnceLeaveEqualCopies(t *testing.T) {
	for _, way := range []string{config.PublishStore, config.PublishRepository, config.PublishService} {
		t.Run(way, func(t *testing.T) {
			cfg := testConfig(t)
			cfg.Articles.Publish = way
			i := start(t, cfg)
			ann := i.login(t, "ann@example.com").access()
			id := i.publish(t, ann, 0, "start", "<p>start</p>").id(t)
			const rounds, writers = 5, 6
			for range rounds {
				var all sync.WaitGroup
				for n := range writers {
					all.Go(func() {
						text := fmt.Sprint("w", n)
						i.publish(t, ann, id, text, "<p>"+text+"</p>")
						i.read(t, "", id)
					})
				}
				all.Wait()
				own, read := i.detail(t, ann, id).article(t), i.read(t, "", id).article(t)
				require.Equal(t, own.Title, read.Title)
				require.Equal(t, own.Content, read.Content)
				require.Equal(t, "<p>"+own.Title+"</p>", own.Content, "one publication is whole")
				require.Equal(t, own.Title, i.list(t, ann, 0, 10)[0].Title)
			}
		})
	}
}

func TestTheDemoHasArticles(t *testing.T) {
	cfg := testConfig(t)
	if cfg.DB.Driver != "" {
		t.Skip("only the embedded app has a demo")
	}
	i := start(t, cfg)
	demo := i.Demo()
	login := i.call(t, http.MethodPost, "/users/login", "", `{"email":"`+demo.Email+`","password":"`+demo.Password+`"}`)
	require.Zero(t, login.Code, login.raw)
	list := i.list(t, login.access(), 0, 10)
	require.Len(t, list, 3)
	for _, a := range list {
		if a.Status == published {
			require.Equal(t, "Demo", i.read(t, "", a.ID).article(t).AuthorName)
		}
	}
}
