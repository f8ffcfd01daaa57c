// Package domain holds what webook is about, free of how it is stored or served.
package domain

import (
	"errors"
	"time"
)

// Errors of the user store.
var (
	// ErrUserNotFound means that no account has the id or e-mail.
	ErrUserNotFound = errors.New("webook: user not found")
	// ErrDuplicateUser means that another account has the e-mail.
	ErrDuplicateUser = errors.New("webook: duplicate user")
)

// User is an account as its owner sees it. It never carries the password.
type User struct {
	ID       int64
	Email    string
	Phone    string
	Nickname string
	// Birthday is a date at 00:00 UTC; zero when not given.
	Birthday time.Time
	AboutMe  string
}

// Credentials is what a login is checked against.
type Credentials struct {
	UserID int64
	// Hash is bcrypt's.
	Hash string
}
