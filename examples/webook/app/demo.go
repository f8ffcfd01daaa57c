package app

import (
	"context"
	"crypto/rand"
	"errors"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
	"github.com/bulwark-go/bulwark/examples/webook/internal/errs"
	"github.com/bulwark-go/bulwark/examples/webook/internal/service"
	"github.com/bulwark-go/bulwark/ginx"
)

const demoEmail = "demo@example.com"

// seed makes an account to play with, and what it has written. Its password is new in
// each data folder and known to nobody but the one who started the app.
func seed(ctx context.Context, users *service.Users, articles *service.Articles, interactives *service.Interactives) (Demo, error) {
	// Random text has letters and digits; the rest is what the rule asks for.
	password := rand.Text()[:12] + "a1!"
	id, err := users.SignUp(ctx, demoEmail, password)
	if refused(err, errs.CodeDuplicateEmail) {
		return Demo{Email: demoEmail}, nil
	}
	if err != nil {
		return Demo{}, err
	}
	err = users.Edit(ctx, id, service.Edit{Nickname: "Demo", AboutMe: "Seeded when the data folder was made."})
	if err != nil {
		return Demo{}, err
	}
	return Demo{Email: demoEmail, Password: password}, seedArticles(ctx, articles, interactives, id)
}

// seedArticles publishes two, which their author likes, and leaves one to finish. What
// the operator's limits refuse is left out.
func seedArticles(ctx context.Context, articles *service.Articles, interactives *service.Interactives, author int64) error {
	published := []service.Draft{
		{Title: "Welcome to webook", Content: "<p>This article came with the data folder. <strong>Edit</strong> it, publish it, withdraw it: readers see what you published last.</p>"},
		{Title: "熔断器为什么要半开", Content: "<p>熔断器打开以后，总要有人先去试一试对面好了没有。<em>半开</em>就是只放少量请求过去，成功了再慢慢放开。</p>"},
	}
	for _, d := range published {
		id, err := articles.Publish(ctx, author, d)
		if refused(err, errs.CodeInvalidArticle) {
			continue
		}
		if err == nil {
			err = interactives.Like(ctx, domain.BizArticle, id, author)
		}
		if err != nil {
			return err
		}
	}
	_, err := articles.Save(ctx, author, service.Draft{Title: "A draft", Content: "<p>Only its author sees this one.</p>"})
	if refused(err, errs.CodeInvalidArticle) {
		return nil
	}
	return err
}

func refused(err error, code int) bool {
	var known *ginx.Error
	return errors.As(err, &known) && known.Code == code
}
