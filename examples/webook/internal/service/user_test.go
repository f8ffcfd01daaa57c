package service_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/bulwark-go/bulwark/examples/webook/internal/errs"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/cache"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/dao"
	"github.com/bulwark-go/bulwark/examples/webook/internal/service"
	"github.com/bulwark-go/bulwark/ginx"
	"github.com/bulwark-go/bulwark/internal/testenv"
)

const good = "correct#horse7"

func newUsers(t *testing.T, cost int) *service.Users {
	t.Helper()
	db := testenv.SQL(t)
	require.NoError(t, dao.Migrate(t.Context(), db))
	settings := repository.Settings{TTL: time.Minute, Timeout: time.Second, PassMax: 1}
	repo := repository.NewUsers(dao.NewUsers(db), cache.NewUsers(testenv.Redis(t), time.Minute),
		func() repository.Settings { return settings }, nil)
	users, err := service.NewUsers(repo, cost)
	require.NoError(t, err)
	return users
}

func requireCode(t *testing.T, code int, err error, what string) {
	t.Helper()
	var business *ginx.Error
	require.ErrorAs(t, err, &business, what)
	require.Equal(t, code, business.Code, what)
}

func TestPasswordsFollowTheRule(t *testing.T) {
	users := newUsers(t, bcrypt.MinCost)
	accepted := []string{good, "aaaa11$$", "密码密码密码a1$", "a1$ with spaces", "a1$\nnewline", strings.Repeat("a", 70) + "1$"}
	for i, p := range accepted {
		_, err := users.SignUp(t.Context(), strings.Repeat("a", i+1)+"@example.com", p)
		require.NoError(t, err, "%q", p)
	}
	refused := []string{
		"", "a1$", "aaa11$$", "aaaaaaaa", "aaaa1111", "aaaa$$$$", "1111$$$$", "aaaa11^^", "密码密码1$密码",
		strings.Repeat("a", 71) + "1$", strings.Repeat("密", 24) + "a1$", strings.Repeat("a", 1<<20) + "1$", "٣٣٣٣٣aa$$",
	}
	for _, p := range refused {
		_, err := users.SignUp(t.Context(), "z@example.com", p)
		requireCode(t, errs.CodeInvalidInput, err, p[:min(len(p), 30)])
	}
}

func TestEmailsFollowTheRule(t *testing.T) {
	users := newUsers(t, bcrypt.MinCost)
	for _, e := range []string{"a@example.com", "a.b+c_d-e%f@sub.example.co", "1@2.cc", " trimmed@example.com ", "x@xn--fiqs8s.xn--p1ai"} {
		_, err := users.SignUp(t.Context(), e, good)
		require.NoError(t, err, e)
	}
	for _, e := range []string{
		"", "a", "a@", "@b.cc", "a@b", "a@b.c", "a@@b.cc", "a b@c.dd", "a@b..cc", "a@-b.cc", ".a@b.cc", "a.@b.cc", "a@b.cc\n",
		"a@b.cc\x00", "an\u212a@b.cc", "\uff41@b.cc", "<a@b.cc>", "a@b.cc,d@e.ff", strings.Repeat("a", 250) + "@b.cc", strings.Repeat("a.", 100_000) + "@",
	} {
		if strings.TrimSpace(e) == "a@b.cc" {
			continue // trimmed, and then fine
		}
		_, err := users.SignUp(t.Context(), e, good)
		requireCode(t, errs.CodeInvalidInput, err, e[:min(len(e), 30)])
	}
}

func TestAnEmailIsTheSameInAnyCase(t *testing.T) {
	users := newUsers(t, bcrypt.MinCost)
	id, err := users.SignUp(t.Context(), "Ann@Example.com", good)
	require.NoError(t, err)
	_, err = users.SignUp(t.Context(), "aNN@example.COM", good)
	requireCode(t, errs.CodeDuplicateEmail, err, "other case")
	got, err := users.Login(t.Context(), "ANN@EXAMPLE.COM", good)
	require.NoError(t, err)
	require.Equal(t, id, got)
}

func TestEveryFailedLoginGetsTheSameAnswer(t *testing.T) {
	users := newUsers(t, bcrypt.MinCost)
	_, err := users.SignUp(t.Context(), "ann@example.com", strings.Repeat("a", 70)+"1$")
	require.NoError(t, err)
	for _, c := range [][2]string{
		{"ann@example.com", good},
		{"ann@example.com", ""},
		{"ann@example.com", strings.Repeat("a", 70) + "1$" + "longer"}, // bcrypt itself would not see the rest
		{"nobody@example.com", good},
		{"nobody@example.com", "nobody's password"}, // what the decoy was made of
		{"not an e-mail\x00", good},
		{"", ""},
	} {
		_, err := users.Login(t.Context(), c[0], c[1])
		requireCode(t, errs.CodeBadCredentials, err, c[0])
		require.Equal(t, errs.BadCredentials().Error(), err.Error(), "the text is the same, too")
	}
}

// The hash dominates: without the comparison against a decoy an unknown user is
// answered hundreds of times faster.
func TestAnUnknownUserIsRefusedAsSlowlyAsAWrongPassword(t *testing.T) {
	users := newUsers(t, 6)
	_, err := users.SignUp(t.Context(), "ann@example.com", good)
	require.NoError(t, err)
	login := func(email, password string) func() {
		return func() { _, _ = users.Login(t.Context(), email, password) }
	}
	wrong := login("ann@example.com", "wrong#horse7")
	requireAlike(t, "unknown", wrong, login("nobody@example.com", "wrong#horse7"))
	requireAlike(t, "malformed", wrong, login("nobody", "wrong#horse7"))
	requireAlike(t, "overlong", wrong, login("nobody@example.com", strings.Repeat("x", 1000)))
}

// requireAlike compares the quickest of some runs of each, in turn, since what the
// machine does besides only adds. A busy one gets more runs.
func requireAlike(t *testing.T, what string, wrong, other func()) {
	t.Helper()
	a, b := time.Hour, time.Hour
	for n := 1; n <= 100; n++ {
		a, b = min(a, lasts(wrong)), min(b, lasts(other))
		if ratio := float64(b) / float64(a); n >= 9 && ratio > 0.4 && ratio < 2.5 {
			return
		}
	}
	require.Failf(t, what, "%v, a wrong password %v", b, a)
}

func lasts(f func()) time.Duration {
	began := time.Now()
	f()
	return time.Since(began)
}

func TestEditsFollowTheRules(t *testing.T) {
	users := newUsers(t, bcrypt.MinCost)
	id, err := users.SignUp(t.Context(), "ann@example.com", good)
	require.NoError(t, err)
	for _, e := range []service.Edit{
		{Nickname: "Ann"},
		{Nickname: " 阿明 ", Birthday: "1990-05-17", AboutMe: strings.Repeat("字", 1024)},
		{Nickname: strings.Repeat("名", 64), Birthday: "1900-01-01"},
		{Nickname: "x", Birthday: time.Now().UTC().Format(time.DateOnly)},
	} {
		require.NoError(t, users.Edit(t.Context(), id, e), "%+v", e)
	}
	got, err := users.Profile(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, "x", got.Nickname)
	require.Empty(t, got.AboutMe)
	for _, e := range []service.Edit{
		{}, {Nickname: "  "}, {Nickname: strings.Repeat("名", 65)}, {Nickname: "a\x00b"}, {Nickname: "a\nb"},
		{Nickname: "a", AboutMe: strings.Repeat("字", 1025)}, {Nickname: "a", AboutMe: "\x00"},
		{Nickname: "a", Birthday: "17.5.1990"}, {Nickname: "a", Birthday: "1990-02-30"}, {Nickname: "a", Birthday: "1899-12-31"},
		{Nickname: "a", Birthday: time.Now().AddDate(0, 0, 3).Format(time.DateOnly)},
	} {
		requireCode(t, errs.CodeInvalidInput, users.Edit(t.Context(), id, e), e.Nickname+e.Birthday)
	}
}

func TestAnAccountThatIsGoneNeedsALogin(t *testing.T) {
	users := newUsers(t, bcrypt.MinCost)
	_, err := users.Profile(t.Context(), 99)
	requireCode(t, 4, err, "profile")
	requireCode(t, 4, users.Edit(t.Context(), 99, service.Edit{Nickname: "x"}), "edit")
}

func TestACostThatBcryptRefusesIsAnError(t *testing.T) {
	_, err := service.NewUsers(nil, bcrypt.MaxCost+1)
	var invalid bcrypt.InvalidCostError
	require.True(t, errors.As(err, &invalid), "%v", err)
}
