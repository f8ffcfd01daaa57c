package app

import (
	"context"
	"crypto/rand"
	"errors"

	"github.com/bulwark-go/bulwark/examples/webook/internal/errs"
	"github.com/bulwark-go/bulwark/examples/webook/internal/service"
	"github.com/bulwark-go/bulwark/ginx"
)

const demoEmail = "demo@example.com"

// seed makes an account to play with. Its password is new in each data folder and
// known to nobody but the one who started the app.
func seed(ctx context.Context, users *service.Users) (Demo, error) {
	// Random text has letters and digits; the rest is what the rule asks for.
	password := rand.Text()[:12] + "a1!"
	id, err := users.SignUp(ctx, demoEmail, password)
	var known *ginx.Error
	if errors.As(err, &known) && known.Code == errs.CodeDuplicateEmail {
		return Demo{Email: demoEmail}, nil
	}
	if err != nil {
		return Demo{}, err
	}
	err = users.Edit(ctx, id, service.Edit{Nickname: "Demo", AboutMe: "Seeded when the data folder was made."})
	return Demo{Email: demoEmail, Password: password}, err
}
