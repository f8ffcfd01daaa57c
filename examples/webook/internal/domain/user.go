// Package domain holds what webook is about, free of how it is stored or served.
package domain

import (
	"errors"
	"time"
)

// Errors of the user store.
var (
	// ErrUserNotFound means that no account has the id, e-mail or phone.
	ErrUserNotFound = errors.New("webook: user not found")
	// ErrDuplicateUser means that another account has the e-mail, the phone or the openid.
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

// MaxWechatID is the longest id of WeChat's in bytes that we keep; its own have 28.
const MaxWechatID = 128

// WechatInfo is how WeChat calls a person.
type WechatInfo struct {
	// OpenID is the person's id in our app.
	OpenID string
	// UnionID is the same in all apps of one owner; empty where there is only one.
	UnionID string
}

// Credentials is what a login is checked against.
type Credentials struct {
	UserID int64
	// Hash is bcrypt's.
	Hash string
}
