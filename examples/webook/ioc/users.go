package ioc

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
	"gorm.io/gorm"

	"github.com/bulwark-go/bulwark/examples/webook/config"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/cache"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/dao"
	"github.com/bulwark-go/bulwark/examples/webook/internal/service"
	"github.com/bulwark-go/bulwark/observe"
)

// UserRepository returns the accounts in db, with profiles cached in rdb.
func UserRepository(db *gorm.DB, rdb *redis.Client, live *config.Live, observer observe.Observer) *repository.Users {
	cfg := live.Get()
	// A reader that read the old row stores its copy within its own deadline, and
	// the edit that overtook it takes no longer than its own.
	fence := 2*cfg.HTTP.Timeout + time.Second
	settings := func() repository.Settings { return userSettings(live.Get().Users) }
	return repository.NewUsers(dao.NewUsers(db), cache.NewUsers(rdb, fence), settings, observer)
}

// Users returns the use cases of accounts.
func Users(repo *repository.Users, cfg config.Users) (*service.Users, error) {
	return service.NewUsers(repo, cfg.BcryptCost)
}

func userSettings(cfg config.Users) repository.Settings {
	s := repository.Settings{TTL: cfg.CacheTTL, Timeout: cfg.CacheTimeout}
	if cfg.CacheFailure == config.CachePass {
		s.PassMax = cfg.CachePassMax
	}
	return s
}

// Migrate creates or extends the tables.
func Migrate(ctx context.Context, db *gorm.DB) error { return dao.Migrate(ctx, db) }
