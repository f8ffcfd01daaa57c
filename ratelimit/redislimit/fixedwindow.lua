-- Counts in a window that opens with the first request admitted outside of one.
-- KEYS[1]  "<start in us> <count>"
-- ARGV[1]  cost; 0 changes nothing
-- ARGV[2]  limit
-- ARGV[3]  window in us
-- Returns {count before, us since the window's start}: the cost was counted when
-- it and the count make at most the limit.
local SLACK = 1000 -- ms that a key outlives its use
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local cost, limit, window = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local state = redis.pcall('GET', KEYS[1])
local start, count, back = now, 0, false
if state then
  if type(state) == 'table' then
    return state
  end
  local s, c = string.match(state, '^(%d+) (%d+)$')
  if not s or #state > 32 then
    return {err = 'BADSTATE not a fixed window'}
  end
  s, c = tonumber(s), math.min(tonumber(c), 4294967295)
  if s > now then -- the clock was set back
    s, back = now, true
  end
  if now < s + window then
    start, count = s, c
  end
end
local after = count
if count + cost <= limit then
  after = count + cost
end
if cost > 0 and (after > count or back) then
  redis.call('SET', KEYS[1], string.format('%.0f %.0f', start, after),
    'PX', string.format('%.0f', math.ceil((start + window - now) / 1000) + SLACK))
end
return {count, now - start}
