package redishook

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/bulwark-go/bulwark/observe"
	"github.com/redis/go-redis/v9"
)

// The values of the label lookup.
const (
	lookupHit  = "hit"
	lookupMiss = "miss"
	lookupNone = "none"
)

// command is what we know of a command by its name.
type command struct {
	label  string
	lookup bool // it looks something up that may be missing
	greets bool // go-redis begins a connection with it
}

// other stands for commands that we do not know: those of modules, and typing
// errors, which would otherwise become labels.
var other = command{label: "other"}

// commands is the closed set of labels; nothing changes it.
var commands = known(
	// What reads one thing, or several, that may not be there.
	`bzpopmax bzpopmin dump geodist geopos get getdel getex hget hgetall 
	 hmget hrandfield lindex lpop lmove lpos mget rpop rpoplpush spop srandmember type zpopmax
	 zpopmin zrandmember zrank zrevrank zscore blmove blmpop blpop brpop brpoplpush bzmpop lmpop zmpop`,
	// The rest.
	`bitpos getrange hgetdel hgetex zmscore acl append asking auth bgrewriteaof bgsave bitcount bitfield bitfield_ro bitop client cluster command
	 config copy dbsize decr decrby del discard echo eval eval_ro evalsha evalsha_ro exec exists expire
	 expireat expiretime failover fcall fcall_ro flushall flushdb function geoadd geohash georadius
	 georadius_ro georadiusbymember georadiusbymember_ro geosearch geosearchstore getbit getset hdel hello
	 hexists hexpire hexpireat hexpiretime hincrby hincrbyfloat hkeys hlen hmset hpersist hpexpire hpexpireat
	 hpexpiretime hpttl hscan hset hsetex hsetnx hstrlen httl hvals incr incrby incrbyfloat info keys
	 lastsave latency lcs linsert llen lolwut lpush lpushx lrange lrem lset ltrim memory migrate module
	 monitor move mset msetnx multi object persist pexpire pexpireat pexpiretime pfadd pfcount pfmerge ping
	 psetex psubscribe pttl publish pubsub punsubscribe quit randomkey readonly readwrite rename renamenx
	 replicaof reset restore role rpush rpushx sadd save scan scard script sdiff sdiffstore select set setbit
	 setex setnx setrange shutdown sinter sintercard sinterstore sismember slaveof slowlog smembers
	 smismember smove sort sort_ro spublish srem sscan ssubscribe strlen subscribe sunion sunionstore
	 sunsubscribe swapdb time touch ttl unlink unsubscribe unwatch wait waitaof watch xack xadd xautoclaim
	 xclaim xdel xgroup xinfo xlen xpending xrange xread xreadgroup xrevrange xsetid xtrim zadd zcard zcount
	 zdiff zdiffstore zincrby zinter zintercard zinterstore zlexcount zrange zrangebylex zrangebyscore
	 zrangestore zrem zremrangebylex zremrangebyrank zremrangebyscore zrevrange zrevrangebylex
	 zrevrangebyscore zscan zunion zunionstore`,
)

func known(lookups, rest string) map[string]command {
	all := make(map[string]command, 300)
	for _, name := range strings.Fields(rest) {
		all[name] = command{label: name}
	}
	for _, name := range strings.Fields(lookups) {
		all[name] = command{label: name, lookup: true}
	}
	for _, name := range []string{"client", "hello"} {
		all[name] = command{label: name, greets: true}
	}
	return all
}

func commandOf(cmd redis.Cmder) command {
	if c, ok := commands[cmd.Name()]; ok {
		return c
	}
	return other
}

// result judges a command that came back with err.
func (c command) result(ctx context.Context, cmd redis.Cmder, err error) observe.Result {
	res := observe.Result{Outcome: outcomeOf(ctx, err), Err: masked(err), Values: observe.Values{lookupNone}}
	if c.greets && isReply(err) && (code(err) == "ERR" || code(err) == "NOPROTO") {
		res.Outcome = observe.Skipped // an older server; go-redis goes on without
	}
	if c.lookup && res.Outcome == observe.OK {
		res.Values[0] = lookupHit
		if errors.Is(err, redis.Nil) || foundNothing(cmd) {
			res.Values[0] = lookupMiss
		}
	}
	return res
}

// foundNothing tells whether an answer without an error says that nothing was
// there: an empty collection, or a list of nothing but nils.
func foundNothing(cmd redis.Cmder) bool {
	switch cmd := cmd.(type) {
	case *redis.SliceCmd:
		return allNil(cmd.Val())
	case *redis.MapStringStringCmd:
		return len(cmd.Val()) == 0
	case *redis.StringSliceCmd:
		return len(cmd.Val()) == 0
	case *redis.ZSliceCmd:
		return len(cmd.Val()) == 0
	case *redis.GeoPosCmd:
		return !slices.ContainsFunc(cmd.Val(), func(p *redis.GeoPos) bool { return p != nil })
	case *redis.StatusCmd:
		return cmd.Val() == "none" // what TYPE says of no key
	case *redis.Cmd: // of Do
		switch v := cmd.Val().(type) {
		case []any:
			return allNil(v)
		case map[any]any:
			return len(v) == 0
		}
	}
	return false
}

func allNil(values []any) bool {
	return !slices.ContainsFunc(values, func(v any) bool { return v != nil })
}
