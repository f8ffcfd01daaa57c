package ioc

import (
	"crypto/rand"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bulwark-go/bulwark/examples/webook/config"
	"github.com/bulwark-go/bulwark/ginx/session"
	"github.com/bulwark-go/bulwark/ginx/session/redissession"
	"github.com/bulwark-go/bulwark/observe"
)

// Sessions returns the token sessions, kept in rdb, and the rules for routes that
// need a login: while Redis is away reads go on for cfg.OutageReads.
func Sessions(rdb *redis.Client, cfg config.Session, observer observe.Observer) (*session.Manager, *session.Rules, error) {
	keys := session.Keys{
		Access:  []session.Key{{ID: "access-1", Secret: keyOrNew(cfg.AccessKey.Reveal())}},
		Refresh: []session.Key{{ID: "refresh-1", Secret: keyOrNew(cfg.RefreshKey.Reveal())}},
	}
	manager, err := session.New(redissession.New(rdb), keys, session.Config{
		Issuer: "webook", AccessTTL: cfg.Access, RefreshTTL: cfg.Refresh, SessionTTL: cfg.Max,
	}, session.WithObserver(observer))
	if err != nil {
		return nil, nil, err
	}
	rules, err := session.NewRules(outage(cfg.OutageReads)...)
	return manager, rules, err
}

func outage(reads time.Duration) []session.Rule {
	if reads == 0 {
		return nil
	}
	return []session.Rule{session.FailOpenFor(reads)}
}

// keyOrNew makes a key for development. It ends with the process, and so do the
// sessions.
func keyOrNew(configured string) []byte {
	if configured != "" {
		return []byte(configured)
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails, by its contract
	return key
}
