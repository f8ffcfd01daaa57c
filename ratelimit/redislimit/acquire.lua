-- Takes a lease on one of a key's slots.
-- KEYS[1]  sorted set of lease names by when they end, in us
-- ARGV[1]  name of the new lease
-- ARGV[2]  limit
-- ARGV[3]  how long a lease lives, in us
-- Returns {how many other leases there were}: the new one was taken when that is
-- below the limit. A call that is sent again finds its own lease and keeps it.
local SLACK = 1000 -- ms that a key outlives its use
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local limit, life = tonumber(ARGV[2]), tonumber(ARGV[3])
local ended = redis.pcall('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
if type(ended) == 'table' then
  return ended
end
local held = redis.call('ZCARD', KEYS[1])
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  held = math.min(held, limit) - 1
end
local ends = string.format('%.0f', now + life)
if held < limit then
  redis.call('ZADD', KEYS[1], ends, ARGV[1])
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil(life / 1000) + SLACK))
else
  -- No lease ends later than a new one would, unless the clock was set back.
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ends, '+inf')) do
    redis.call('ZADD', KEYS[1], ends, name)
  end
end
return {held}
