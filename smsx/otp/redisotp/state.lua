-- What all scripts begin with. The hash KEYS[1] holds of a subject and purpose:
--   m  key id and MAC of the code      n  its tries left       e  its end, ms
--   u  until when no other is sent, ms i  the last issue's id
--   s  times of sends within a day, s: the first, then differences
--   d  day of the last failure count   f  failures of 31 days, a sign for each: '0' + n
--   v  the last guess's id and answer
local ABSENT, GRANTED, LIMITED, LOCKED, VERIFIED, WRONG, EXPIRED, EXHAUSTED = 0, 1, 2, 3, 4, 5, 6, 7
local DAY, HOUR, DAYS, SLACK = 86400, 3600, 31, 1000
local SETBACK = 60000 -- ms that a clock may be set back before cooldowns and codes end
local ttl = redis.call('PTTL', KEYS[1])
if ttl == -1 then
  return {err = 'NOEXPIRY the key never ends'}
end
local raw = redis.call('HMGET', KEYS[1], 'm', 'n', 'u', 'e', 's', 'd', 'f', 'i', 'v')
local code, tries, cooldown, ends = raw[1], tonumber(raw[2] or 0), tonumber(raw[3] or 0), tonumber(raw[4] or 0)
local time = redis.call('TIME')
local secs = tonumber(time[1])
local now = secs * 1000 + math.floor(tonumber(time[2]) / 1000)
local today = math.floor(secs / DAY)

local gap = math.max(math.min(today - tonumber(raw[6] or today), DAYS), 0)
local failed = string.sub(raw[7] or string.rep('0', DAYS), gap + 1) .. string.rep('0', gap)

local sends, at = {}, 0
for step in string.gmatch(raw[5] or '', '%-?%d+') do
  at = at + tonumber(step)
  local kept = math.min(at, secs + 1)
  if secs - kept < DAY then
    sends[#sends + 1] = kept
  end
end

-- The ms for which the failure budget is spent.
local function lockedFor(perDay, perMonth)
  for days = 0, DAYS do
    local sum = 0
    for i = days + 1, DAYS do
      sum = sum + string.byte(failed, i) - 48
    end
    if sum < perMonth and (days > 0 or string.byte(failed, DAYS) - 48 < perDay) then
      return days == 0 and 0 or (today + days) * DAY * 1000 - now
    end
  end
  return 0
end

-- Writes fields, and lets the key end when nothing of it matters any more.
local function keep(...)
  local parts, before = {}, 0
  for i, t in ipairs(sends) do
    parts[i] = string.format('%.0f', t - before)
    before = t
  end
  redis.call('HSET', KEYS[1], 's', table.concat(parts, ','), 'd', string.format('%.0f', today), 'f', failed, ...)
  local last = math.max(ends - now, (sends[#sends] or 0) + DAY > secs and ((sends[#sends] or 0) + DAY - secs) * 1000 or 0)
  if string.find(failed, '[^0]') then
    last = math.max(last, (today + DAYS) * DAY * 1000 - now)
  end
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.max(last, 0) + SLACK))
end
