package web

import (
	"context"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
	"github.com/bulwark-go/bulwark/examples/webook/internal/service"
	"github.com/bulwark-go/bulwark/ginx"
	"github.com/bulwark-go/bulwark/ginx/session"
)

// defaultPage is how many articles a list has whose request names no limit.
const defaultPage = 20

// Articles serves /articles.
type Articles struct {
	articles *service.Articles
	login    gin.HandlerFunc
	visitor  gin.HandlerFunc
	limit    gin.HandlerFunc
}

// NewArticles returns the handlers over the use cases. Authors pass login; readers
// pass visitor, which knows who is logged in and lets everybody in; limit stands
// behind both.
func NewArticles(articles *service.Articles, login, visitor, limit gin.HandlerFunc) *Articles {
	return &Articles{articles: articles, login: login, visitor: visitor, limit: limit}
}

// Register adds the routes to r.
func (h *Articles) Register(r gin.IRouter) {
	own := r.Group("/articles", h.login, h.limit)
	own.POST("/edit", ginx.WrapBodyClaims(h.edit))
	own.POST("/publish", ginx.WrapBodyClaims(h.publish))
	own.POST("/withdraw", ginx.WrapBodyClaims(h.withdraw))
	own.POST("/list", ginx.WrapBodyClaims(h.list))
	own.GET("/detail/:id", ginx.WrapURIClaims(h.detail))
	own.POST("/detail/:id", ginx.WrapURIClaims(h.detail)) // some front ends use POST

	r.GET("/articles/pub/:id", h.visitor, h.limit, h.read)
}

type articleReq struct {
	ID      int64  `json:"id" binding:"min=0"`
	Title   string `json:"title"`
	Content string `json:"content"`
}

func (r articleReq) draft() service.Draft {
	return service.Draft{ID: r.ID, Title: r.Title, Content: r.Content}
}

func (h *Articles) edit(ctx context.Context, req articleReq, claims session.Claims) (ginx.Result, error) {
	id, err := h.articles.Save(ctx, claims.UserID, req.draft())
	return ginx.Result{Msg: "saved", Data: id}, err
}

func (h *Articles) publish(ctx context.Context, req articleReq, claims session.Claims) (ginx.Result, error) {
	id, err := h.articles.Publish(ctx, claims.UserID, req.draft())
	return ginx.Result{Msg: "published", Data: id}, err
}

type withdrawReq struct {
	ID int64 `json:"id" binding:"min=1"`
}

func (h *Articles) withdraw(ctx context.Context, req withdrawReq, claims session.Claims) (ginx.Result, error) {
	return ginx.Result{Msg: "withdrawn"}, h.articles.Withdraw(ctx, claims.UserID, req.ID)
}

type listReq struct {
	Offset int `json:"offset" binding:"min=0,max=1000000"`
	Limit  int `json:"limit" binding:"min=0,max=1000"`
}

func (h *Articles) list(ctx context.Context, req listReq, claims session.Claims) (ginx.Result, error) {
	if req.Limit == 0 {
		req.Limit = defaultPage
	}
	found, err := h.articles.List(ctx, claims.UserID, req.Offset, req.Limit)
	list := make([]articleItem, len(found)) // an empty one is [], never null
	for i, a := range found {
		list[i] = newArticleItem(a)
	}
	return ginx.Result{Data: list}, err
}

type articleURI struct {
	ID int64 `uri:"id" binding:"min=1"`
}

func (h *Articles) detail(ctx context.Context, req articleURI, claims session.Claims) (ginx.Result, error) {
	a, err := h.articles.Own(ctx, claims.UserID, req.ID)
	return ginx.Result{Data: articleDetail{articleItem: newArticleItem(a), Content: a.Content, AuthorID: a.AuthorID}}, err
}

// read knows who reads, but does not ask for it.
func (h *Articles) read(c *gin.Context) {
	claims, _ := ginx.ClaimsOf[session.Claims](c) // zero: somebody
	ginx.WrapURI(func(ctx context.Context, req articleURI) (ginx.Result, error) {
		r, err := h.articles.Read(ctx, claims.UserID, req.ID)
		return ginx.Result{Data: newReading(r)}, err
	})(c)
}

type articleItem struct {
	ID       int64                `json:"id"`
	Title    string               `json:"title"`
	Abstract string               `json:"abstract"`
	Status   domain.ArticleStatus `json:"status"`
	Ctime    string               `json:"ctime"`
	Utime    string               `json:"utime"`
}

func newArticleItem(a domain.Article) articleItem {
	return articleItem{
		ID: a.ID, Title: a.Title, Abstract: a.Abstract, Status: a.Status,
		Ctime: a.Ctime.Format(time.DateTime), Utime: a.Utime.Format(time.DateTime),
	}
}

type articleDetail struct {
	articleItem
	Content  string `json:"content"`
	AuthorID int64  `json:"authorId"`
}

type reading struct {
	articleDetail
	AuthorName string `json:"authorName"`
	ReadCnt    int64  `json:"readCnt"`
	LikeCnt    int64  `json:"likeCnt"`
	CollectCnt int64  `json:"collectCnt"`
	Liked      bool   `json:"liked"`
	Collected  bool   `json:"collected"`
}

func newReading(r service.Reading) reading {
	return reading{
		articleDetail: articleDetail{articleItem: newArticleItem(r.Article), Content: r.Content, AuthorID: r.AuthorID},
		AuthorName:    r.AuthorName,
		ReadCnt:       r.Counts.Reads, LikeCnt: r.Counts.Likes, CollectCnt: r.Counts.Collects,
		Liked: r.Counts.Liked, Collected: r.Counts.Collected,
	}
}
