package errs

import (
	"net/http"

	"github.com/bulwark-go/bulwark/ginx"
)

// Codes of the articles module, 02.
const (
	CodeInvalidArticle  = 402001
	CodeNotYourArticle  = 402002
	CodeArticleNotFound = 402003
)

// InvalidArticle returns the error for a text that breaks its rule. The message is
// shown to people: it names the rule, never the text.
func InvalidArticle(msg string) error { return ginx.NewError(CodeInvalidArticle, msg) }

// NotYourArticle is the one answer to a change of an article that is not there and of
// one that is somebody else's: two answers would tell which ids there are.
func NotYourArticle(cause error) error {
	return ginx.NewError(CodeNotYourArticle, "you have no such article").WithCause(cause)
}

// ArticleNotFound says that there is nothing to read: never written, withdrawn, or
// not the reader's.
func ArticleNotFound(cause error) error {
	return ginx.NewError(CodeArticleNotFound, "article not found").WithStatus(http.StatusNotFound).WithCause(cause)
}
