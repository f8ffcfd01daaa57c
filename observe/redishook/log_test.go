package redishook_test

import (
	"testing"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/logger/loggertest"
	"github.com/bulwark-go/bulwark/observe/redishook"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

func TestDebugLinesCarryNoArguments(t *testing.T) {
	log := loggertest.New(t)
	rdb, _ := watched(t, redishook.WithName("codes"), redishook.WithLogger(log.Logger()))
	ctx := t.Context()
	require.NoError(t, rdb.Set(ctx, "code:13800000000", "482913", 0).Err())
	require.ErrorIs(t, rdb.Get(ctx, "code:13900000000").Err(), redis.Nil)
	require.Error(t, rdb.LPush(ctx, "code:13800000000", "482913").Err())
	_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error { return p.Get(ctx, "code:13800000000").Err() })
	require.NoError(t, err)

	log.RequireLine(logger.LevelDebug, "redis command", logger.String("client", "codes"), logger.String("command", "set"), logger.String("outcome", "ok"))
	log.RequireLine(logger.LevelDebug, "redis command", logger.String("command", "get"), logger.String("lookup", "miss"))
	log.RequireLine(logger.LevelDebug, "redis command", logger.String("command", "lpush"), logger.String("outcome", "failed"))
	log.RequireLine(logger.LevelDebug, "redis pipeline", logger.String("form", "pipeline"), logger.Int64("commands", 1))
	log.RequireNowhere("13800000000")
	log.RequireNowhere("13900000000")
	log.RequireNowhere("482913")
}

func TestALineAloneNeedsNoObserver(t *testing.T) {
	log := loggertest.New(t)
	rdb, _ := watched(t)
	rdb.AddHook(redishook.New(nil, redishook.WithLogger(log.Logger())))
	_, err := rdb.Pipelined(t.Context(), func(p redis.Pipeliner) error { return p.Ping(t.Context()).Err() })
	require.NoError(t, err)
	log.RequireLine(logger.LevelDebug, "redis pipeline", logger.Int64("commands", 1))
}
