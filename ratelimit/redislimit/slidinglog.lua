-- Remembers each admission for one window.
-- KEYS[1]  sorted set by time in us of "<time in us>:<sum before>:<cost>": the sum
--          of what was admitted before makes members unique, puts those of one
--          microsecond in order, and gives what any stretch adds up to
-- ARGV[1]  cost; 0 changes nothing
-- ARGV[2]  limit
-- ARGV[3]  window in us
-- Returns {sum before, us until a refused cost fits, us until all is back}: the
-- cost was admitted when it and the sum make at most the limit.
local SLACK = 1000 -- ms that a key outlives its use
local BAD = {err = 'BADSTATE not a sliding log'}
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local cost, limit, window = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

local function parse(members)
  local at, before, c = string.match(members[1] or '', '^(%d+):(%d+):(%d+)$')
  if at and #members[1] <= 48 then
    return tonumber(at), tonumber(before), tonumber(c)
  end
end

local function log(at, before, c)
  local text = string.format('%.0f', at)
  redis.call('ZADD', KEYS[1], text, string.format('%s:%016.0f:%.0f', text, before, c))
end

local newest = redis.pcall('ZRANGE', KEYS[1], -1, -1)
if newest.err then
  return newest
end
local last, total = now, 0
if newest[1] then
  local at, before, c = parse(newest)
  if not at then
    return BAD
  end
  last, total = math.min(at, now), before + c
  if at > now and cost > 0 then -- the clock was set back: all counts as of now
    local later = redis.call('ZRANGEBYSCORE', KEYS[1], string.format('(%.0f', now), '+inf')
    for _, member in ipairs(later) do
      local _, b, m = parse({member})
      if not b then
        return BAD
      end
      redis.call('ZREM', KEYS[1], member)
      log(now, b, m)
    end
  end
end
local expired = string.format('%.0f', now - window)
if cost > 0 then
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', expired)
end
local sum, base = 0, 0
local oldest = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. expired, '+inf', 'LIMIT', 0, 1)
if oldest[1] then
  local at, before = parse(oldest)
  if not at then
    return BAD
  end
  sum, base = total - before, before
end
local reset = 0
if sum > 0 then
  reset = math.max(last + window - now, 0)
end
if sum + cost <= limit then
  if cost > 0 then
    log(now, sum > 0 and total or 0, cost)
    redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil(window / 1000) + SLACK))
  end
  return {sum, 0, reset}
end
-- The first admission with whose leaving enough has left; each counts 1 or more.
local enough = base + sum + cost - limit
local low, high = 0, math.min(enough - base, redis.call('ZCARD', KEYS[1])) - 1
while low < high do
  local middle = math.floor((low + high) / 2)
  local at, before, c = parse(redis.call('ZRANGE', KEYS[1], middle, middle))
  if not at then
    return BAD
  end
  if before + c >= enough then
    high = middle
  else
    low = middle + 1
  end
end
local at = parse(redis.call('ZRANGE', KEYS[1], low, low))
if not at then
  return BAD
end
return {sum, at + window - now, reset}
