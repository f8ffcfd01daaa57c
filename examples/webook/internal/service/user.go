// Package service holds webook's use cases: rules, and what happens in which
// order. Its errors are the business errors of package errs, or wrapped failures.
package service

import (
	"context"
	"errors"

	"github.com/bulwark-go/bulwark/examples/webook/internal/domain"
	"github.com/bulwark-go/bulwark/examples/webook/internal/errs"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository"
)

// Users signs people up, lets them in and keeps their profiles. It is safe for
// concurrent use.
type Users struct {
	repo      *repository.Users
	passwords passwords
}

// NewUsers returns the use cases over repo. Passwords are hashed by bcrypt at the
// given cost; the error says when bcrypt refuses it.
func NewUsers(repo *repository.Users, bcryptCost int) (*Users, error) {
	p, err := newPasswords(bcryptCost)
	if err != nil {
		return nil, err
	}
	return &Users{repo: repo, passwords: p}, nil
}

// SignUp creates an account and returns its id. E-mails are compared in lower
// case. Nobody asks first whether the e-mail is free: only the unique index can
// tell, when two sign up at once.
func (s *Users) SignUp(ctx context.Context, email, password string) (int64, error) {
	email, err := checkEmail(email)
	if err != nil {
		return 0, err
	}
	if err := s.passwords.check(password); err != nil {
		return 0, err
	}
	hash, err := s.passwords.hash(ctx, password)
	if err != nil {
		return 0, err
	}
	id, err := s.repo.Create(ctx, email, hash)
	if errors.Is(err, domain.ErrDuplicateUser) {
		return 0, errs.DuplicateEmail(err)
	}
	return id, err
}

// Login returns the id of the account that e-mail and password belong to. An
// unknown e-mail and a wrong password get the same answer after the same time.
func (s *Users) Login(ctx context.Context, email, password string) (int64, error) {
	found, err := s.credentials(ctx, email)
	if err != nil {
		return 0, err
	}
	ok, err := s.passwords.match(ctx, found.Hash, password)
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, errs.BadCredentials()
	}
	return found.UserID, nil
}

// credentials returns none, without an error, for an e-mail that has no account.
func (s *Users) credentials(ctx context.Context, email string) (domain.Credentials, error) {
	email, err := checkEmail(email)
	if err != nil {
		return domain.Credentials{}, nil //nolint:nilerr // no account has such an e-mail
	}
	found, err := s.repo.Credentials(ctx, email)
	if errors.Is(err, domain.ErrUserNotFound) {
		return domain.Credentials{}, nil
	}
	return found, err
}

// Profile returns the account of a logged-in user.
func (s *Users) Profile(ctx context.Context, id int64) (domain.User, error) {
	user, err := s.repo.Profile(ctx, id)
	return user, business(err)
}

// Edit replaces nickname, birthday and about-me of a logged-in user.
func (s *Users) Edit(ctx context.Context, id int64, e Edit) error {
	user, err := e.check()
	if err != nil {
		return err
	}
	user.ID = id
	return business(s.repo.Edit(ctx, user))
}

// business says what a failure of the repository means to a logged-in user.
func business(err error) error {
	switch {
	case errors.Is(err, domain.ErrUserNotFound):
		return errs.LoginNeeded(err)
	case errors.Is(err, repository.ErrBusy):
		return errs.Busy(err)
	case errors.Is(err, repository.ErrUnavailable):
		return errs.Unavailable(err)
	default:
		return err
	}
}
