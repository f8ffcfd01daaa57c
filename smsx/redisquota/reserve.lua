-- Charges a message, or grants another try of it.
-- ARGV[1] content   ARGV[2] units   ARGV[3] capacity   ARGV[4] retention, ms
-- ARGV[5] the most tries   ARGV[6...] starts of months around the caller's time, Unix s
-- Returns {verdict, try, spent, ms until the next month}, or {-1, secs} when the
-- server's time is in none of the months
local EXHAUSTED, GRANTED, DUPLICATE, CONFLICT, OVERTRIED = 0, 1, 2, 3, 4
local start, stop
for i = 6, #ARGV - 1 do
  if tonumber(ARGV[i]) <= secs and secs < tonumber(ARGV[i + 1]) then
    start, stop = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  end
end
if not start then
  return {-1, secs, 0, 0}
end
-- A clock that was set back over a month's beginning leaves the account in the later
-- one, as else its capacity would come twice.
local month, spent = tonumber(account[1] or 0), tonumber(account[2] or 0)
if month < start then
  month, spent = start, 0
end
local left, cost = stop * 1000 - now, tonumber(ARGV[2])
if alive then
  if raw[5] ~= ARGV[1] or units ~= cost then
    return {CONFLICT, 0, spent, left}
  elseif state == COMMITTED then
    return {DUPLICATE, 0, spent, left}
  elseif #tries >= tonumber(ARGV[5]) then
    return {OVERTRIED, 0, spent, left}
  end
else
  tries = ''
end
if not alive or state == REFUNDED then
  if spent + cost > tonumber(ARGV[3]) then
    return {EXHAUSTED, 0, spent, left}
  end
  spent = spent + cost
  charged = number(month)
  redis.call('HSET', KEYS[1], 'm', charged, 'c', number(spent))
  -- A day more, for a clock that is set back; and no less than it had.
  redis.call('PEXPIRE', KEYS[1], number(math.max(left + 86400000, redis.call('PTTL', KEYS[1]))))
end
tries = tries .. '1'
keep(tonumber(ARGV[4]), 's', RESERVED, 'a', tries, 'u', number(cost), 'm', charged, 'f', ARGV[1])
return {GRANTED, #tries, spent, left}
