package service

import (
	"fmt"
	"html"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/microcosm-cc/bluemonday"
	nethtml "golang.org/x/net/html"

	"github.com/bulwark-go/bulwark/examples/webook/internal/errs"
)

// abstractMax is how many characters of an article lists show.
const abstractMax = 128

// titleRounds bounds how often a title is unescaped: more layers than that are an
// attack, not a title.
const titleRounds = 8

// texts turns what an editor sends into what is safe to show. Front ends put the
// content and the abstract into their pages as HTML, so this is the place where
// scripts end.
type texts struct {
	titleMax, contentMax int

	rich *bluemonday.Policy
	none *bluemonday.Policy
}

func newTexts(cfg ArticlesConfig) texts {
	rich := bluemonday.UGCPolicy()
	rich.AllowAttrs("class").Matching(regexp.MustCompile(`^language-[\w+#-]{1,32}$`)).OnElements("code")
	return texts{titleMax: cfg.TitleMax, contentMax: cfg.ContentMax, rich: rich, none: bluemonday.StrictPolicy()}
}

// title returns the plain text of a title, which then means the same whether a page
// shows it as text or as HTML: what looks like a tag is gone, however often escaped.
func (t texts) title(s string) (string, error) {
	if !utf8.ValidString(s) || strings.ContainsRune(s, utf8.RuneError) {
		// Somebody cut it in the middle of a character: JSON can't say so otherwise.
		return "", errs.InvalidArticle("the title has a broken character")
	}
	clean := false
	for range titleRounds {
		next := html.UnescapeString(t.none.Sanitize(s))
		if clean = next == s; clean {
			break
		}
		s = next
	}
	if !clean {
		return "", errs.InvalidArticle("the title is not plain text")
	}
	s = strings.TrimSpace(s)
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "", errs.InvalidArticle("the title has characters that can not be shown")
	}
	if utf8.RuneCountInString(s) > t.titleMax {
		return "", errs.InvalidArticle(fmt.Sprintf("the title takes at most %d characters", t.titleMax))
	}
	return s, nil
}

// content returns the HTML without what could run or load something on its own.
func (t texts) content(s string) (string, error) {
	if len(s) > t.contentMax {
		return "", errs.InvalidArticle(fmt.Sprintf("the text takes at most %d bytes", t.contentMax))
	}
	// PostgreSQL takes no NUL, and browsers have been made to overlook it.
	s = t.rich.Sanitize(strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", ""))
	if len(s) > t.contentMax {
		return "", errs.InvalidArticle(fmt.Sprintf("the text takes at most %d bytes when written as HTML", t.contentMax))
	}
	return s, nil
}

// abstract returns the beginning of a content's text, on one line and as HTML: what
// the text says of tags stays text.
func abstract(content string) string {
	runes := make([]rune, 0, abstractMax)
	tokens := nethtml.NewTokenizer(strings.NewReader(content))
	pending := false
	for {
		kind := tokens.Next()
		if kind == nethtml.ErrorToken {
			return asHTML(string(runes))
		}
		if kind != nethtml.TextToken {
			pending = pending || separates(tokens)
			continue
		}
		for _, r := range string(tokens.Text()) {
			if unicode.IsSpace(r) || !unicode.IsPrint(r) {
				pending = true
				continue
			}
			if pending && len(runes) > 0 {
				runes = append(runes, ' ')
			}
			pending = false
			if len(runes) >= abstractMax-1 {
				return asHTML(string(runes[:abstractMax-1]) + "…")
			}
			runes = append(runes, r)
		}
	}
}

// separates tells whether a tag stands between two words.
func separates(tokens *nethtml.Tokenizer) bool {
	name, _ := tokens.TagName()
	switch string(name) {
	case "a", "abbr", "b", "code", "del", "em", "i", "ins", "mark", "s", "small", "span", "strong", "sub", "sup", "u":
		return false
	default:
		return true
	}
}

var tagSigns = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

func asHTML(text string) string { return tagSigns.Replace(text) }
