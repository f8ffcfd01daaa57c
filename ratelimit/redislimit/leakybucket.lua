-- Takes the next turn in a key's queue, when it comes soon enough.
-- KEYS[1]  sorted set of the turns that were given, by when each is over, in us;
--          one follows the other, so the last says when the queue is empty
-- ARGV[1]  name of the new turn; "take" for one that is not waited for
-- ARGV[2]  how long it lasts, in us; 0 changes nothing
-- ARGV[3]  the longest wait for it, in us
-- ARGV[4]  the most turns ahead of it
-- ARGV[5]  the longest queue there can be, in us
-- Returns {us until the turn begins, 1 when it was given}. A call that is sent again
-- finds its own turn and keeps it.
local SLACK = 1000 -- ms that a key outlives its use
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local name, lasts, patience = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local most, longest = tonumber(ARGV[4]), tonumber(ARGV[5])
local last = redis.pcall('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
if last.err then
  return last
end
local tail, over = now, false
if last[1] then
  tail = tonumber(last[2])
  if not tail or not string.match(last[1], '^%w+%-?%w*$') then
    return {err = 'BADSTATE not a queue'}
  end
  over = tail - now > longest -- the clock was set back, or the rate raised
  tail = over and now + longest or math.max(tail, now)
end
local wait = tail - now
if lasts == 0 then
  return {wait, 0}
end
if wait > 0 and name ~= 'take' then
  local own = redis.call('ZSCORE', KEYS[1], name)
  if own then
    return {math.max(own - lasts - now, 0), 1}
  end
end
if over then
  local ends = string.format('%.0f', tail)
  for _, turn in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ends, '+inf')) do
    redis.call('ZADD', KEYS[1], ends, turn)
  end
end
if last[1] then
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
end
local given = wait <= patience and (wait == 0 or redis.call('ZCARD', KEYS[1]) <= most)
if given then
  tail = tail + lasts
  redis.call('ZADD', KEYS[1], string.format('%.0f', tail), name)
end
if given or over then
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil((tail - now) / 1000) + SLACK))
end
return {wait, given and 1 or 0}
