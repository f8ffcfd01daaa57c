-- Counts in periods, and takes that before in proportion to how much of it the
-- last window still covers.
-- KEYS[1]  "<window in us> <start in us> <count of the period before> <count>"
-- ARGV[1]  cost; 0 changes nothing
-- ARGV[2]  limit
-- ARGV[3]  window in us
-- Returns {us since the period's start, count of the period before, count before
-- the cost}: it was counted when with it the limit is not exceeded.
local SLACK = 1000 -- ms that a key outlives its use
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local cost, limit, window = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

-- carried is ceil(n * part / whole), for n below 2^32 and part <= whole below
-- 2^45. The product may exceed the 53 bits that a number holds exactly: then it
-- is divided digit by digit, to the base of 128.
local function carried(n, part, whole)
  if n * part < 9007199254740992 then
    local product = n * part
    local rest = product % whole
    return (product - rest) / whole + (rest > 0 and 1 or 0)
  end
  local quotient, rest, unit = 0, 0, 268435456
  while unit >= 1 do
    local digit = math.floor(n / unit)
    n = n - digit * unit
    local step = rest * 128 + digit * part
    rest = step % whole
    quotient = quotient * 128 + (step - rest) / whole
    unit = unit / 128
  end
  return quotient + (rest > 0 and 1 or 0)
end

-- moved returns the state as it is now under a window.
local function moved(per, start, prev, cur)
  local periods = math.floor((now - start) / per)
  if periods >= 2 or prev + cur == 0 then
    return now, 0, 0
  elseif periods == 1 then
    return start + per, cur, 0
  end
  return start, prev, cur
end

local state = redis.pcall('GET', KEYS[1])
local start, prev, cur, back = now, 0, 0, false
if state then
  if type(state) == 'table' then
    return state
  end
  local w, s, p, c = string.match(state, '^(%d+) (%d+) (%d+) (%d+)$')
  w = tonumber(w)
  if not w or w < 1 or #state > 64 then
    return {err = 'BADSTATE not a sliding window'}
  end
  w, s = math.min(w, 35184372088831), tonumber(s)
  if s > now then -- the clock was set back
    s, back = now, true
  end
  start, prev, cur = moved(w, s, math.min(tonumber(p), 4294967295), math.min(tonumber(c), 4294967295))
  if w ~= window then -- another window than before: all that counts, counts as of now
    start, prev, cur = now, 0, cur + carried(prev, w - (now - start), w)
  end
end
-- To decide, no more than the limit was used. What is stored stays whole, since
-- other instances may have another limit.
local share = carried(math.min(prev, limit), window - (now - start), window)
local admitted = math.min(cur, limit) + cost + share <= limit
if cost > 0 and (admitted or back) then
  local after = cur
  if admitted then
    after = cur + cost
  end
  redis.call('SET', KEYS[1], string.format('%.0f %.0f %.0f %.0f', window, start, prev, after),
    'PX', string.format('%.0f', math.ceil((start + 2 * window - now) / 1000) + SLACK))
end
return {now - start, prev, cur}
