package web

import (
	"context"

	"github.com/gin-gonic/gin"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
	"github.com/bulwark-go/bulwark/examples/webook/internal/service"
	"github.com/bulwark-go/bulwark/ginx"
	"github.com/bulwark-go/bulwark/ginx/session"
)

// Interactives serves what readers do with published articles.
type Interactives struct {
	interactives *service.Interactives
	articles     Readable
	login        gin.HandlerFunc
	limit        gin.HandlerFunc
}

// Readable tells whether an article can be read by everybody.
type Readable interface {
	// CheckReadable returns nil, or the error that its reader would get.
	CheckReadable(ctx context.Context, articleID int64) error
}

// NewInteractives returns the handlers over the use cases. What cannot be read is not
// liked either. Readers pass login, and limit stands behind it.
func NewInteractives(interactives *service.Interactives, articles Readable, login, limit gin.HandlerFunc) *Interactives {
	return &Interactives{interactives: interactives, articles: articles, login: login, limit: limit}
}

// Register adds the routes to r.
func (h *Interactives) Register(r gin.IRouter) {
	private := r.Group("/articles/pub", h.login, h.limit)
	private.POST("/like", ginx.WrapBodyClaims(h.like))
	private.POST("/collect", ginx.WrapBodyClaims(h.collect))
}

type likeReq struct {
	ID int64 `json:"id"`
	// Like is what shall be: true likes, false takes it back.
	Like bool `json:"like"`
}

func (h *Interactives) like(ctx context.Context, req likeReq, claims session.Claims) (ginx.Result, error) {
	if !req.Like {
		return ginx.Result{Msg: "no longer liked"}, h.interactives.CancelLike(ctx, domain.BizArticle, req.ID, claims.UserID)
	}
	if err := h.articles.CheckReadable(ctx, req.ID); err != nil {
		return ginx.Result{}, err
	}
	return ginx.Result{Msg: "liked"}, h.interactives.Like(ctx, domain.BizArticle, req.ID, claims.UserID)
}

type collectReq struct {
	ID int64 `json:"id"`
	// CID is the collection; 0 is there for everybody.
	CID int64 `json:"cid"`
	// Collect false takes it out again. Front ends that only put things in leave it
	// out.
	Collect *bool `json:"collect"`
}

func (h *Interactives) collect(ctx context.Context, req collectReq, claims session.Claims) (ginx.Result, error) {
	if req.Collect != nil && !*req.Collect {
		return ginx.Result{Msg: "no longer collected"}, h.interactives.CancelCollect(ctx, domain.BizArticle, req.ID, claims.UserID)
	}
	if err := h.articles.CheckReadable(ctx, req.ID); err != nil {
		return ginx.Result{}, err
	}
	return ginx.Result{Msg: "collected"}, h.interactives.Collect(ctx, domain.BizArticle, req.ID, req.CID, claims.UserID)
}
