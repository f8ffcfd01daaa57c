-- Takes from a token bucket by GCRA, in integer microseconds.
-- KEYS[1]  the time at which the bucket will be full again
-- ARGV[1]  what to take, in us of refilling; 0 changes nothing
-- ARGV[2]  a full bucket, in us of refilling
-- Returns {what was missing before, in us of refilling}: the bucket was charged
-- when that and what was to be taken make at most a full one.
local SLACK = 1000 -- ms that a key outlives its use
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local charge, full = tonumber(ARGV[1]), tonumber(ARGV[2])
local state = redis.pcall('GET', KEYS[1])
local missing, over = 0, false
if state then
  if type(state) == 'table' then
    return state
  end
  local tat = tonumber(state)
  if not tat or tat < 0 or tat % 1 ~= 0 then
    return {err = 'BADSTATE not a token bucket'}
  end
  -- No bucket misses more than all it holds: the burst was lowered, or the
  -- clock was set back.
  over = tat - now > full
  missing = over and full or math.max(tat - now, 0)
end
local after = missing
if missing + charge <= full then
  after = missing + charge
end
if charge > 0 and (after > missing or over) then
  -- Formatting is dear: Redis itself writes numbers of few digits out in full.
  redis.call('SET', KEYS[1], string.format('%.0f', now + after),
    'PX', math.ceil(after / 1000) + SLACK)
end
return {missing}
