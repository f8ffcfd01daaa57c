package service

import (
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
	"github.com/bulwark-go/bulwark/examples/webook/internal/errs"
)

// The longest values we keep; the columns have the same sizes.
const (
	emailMax    = 254 // bytes, by RFC 5321
	nicknameMax = 64  // characters
	aboutMeMax  = 1024
)

var (
	emailRule     = regexp.MustCompile(`^[a-zA-Z0-9_+%-]+(\.[a-zA-Z0-9_+%-]+)*@([a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?\.)+[a-zA-Z]([a-zA-Z0-9-]*[a-zA-Z0-9])$`)
	firstBirthday = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)
)

// furthestEast is how far a zone's today can be ahead of UTC.
const furthestEast = 14 * time.Hour

// checkEmail returns the form of an e-mail that is stored and searched.
func checkEmail(email string) (string, error) {
	email = strings.TrimSpace(email)
	if len(email) > emailMax || !emailRule.MatchString(email) {
		return "", errs.InvalidInput("this is not an e-mail address")
	}
	// Only now: the lower case of some other letters is a Latin one.
	return strings.ToLower(email), nil
}

// Edit is what people may change of their profile, as they typed it.
type Edit struct {
	Nickname string
	// Birthday is YYYY-MM-DD, or empty.
	Birthday string
	AboutMe  string
}

func (e Edit) check() (domain.User, error) {
	user := domain.User{Nickname: strings.TrimSpace(e.Nickname), AboutMe: e.AboutMe}
	if user.Nickname == "" || utf8.RuneCountInString(user.Nickname) > nicknameMax || !printable(user.Nickname) {
		return user, errs.InvalidInput("the nickname needs 1 to 64 characters, all printable")
	}
	if utf8.RuneCountInString(e.AboutMe) > aboutMeMax || strings.ContainsRune(e.AboutMe, 0) {
		return user, errs.InvalidInput("about me takes at most 1024 characters")
	}
	if e.Birthday == "" {
		return user, nil
	}
	day, err := time.Parse(time.DateOnly, e.Birthday)
	if err != nil || day.Before(firstBirthday) || day.After(time.Now().Add(furthestEast)) {
		return user, errs.InvalidInput("the birthday must be a past date, as YYYY-MM-DD")
	}
	user.Birthday = day
	return user, nil
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
