-- What all scripts begin with.
-- KEYS[1] an account: m its month's start in Unix s, c what is spent of it
-- KEYS[2] one of its messages:
--   s  state              a  its tries, a sign for each: '1' open, '0' sent nothing
--   u  units              m  start of the month that was charged
--   f  the content        e  until when it is remembered, ms
local RESERVED, COMMITTED, REFUNDED = '0', '1', '2'
local time = redis.call('TIME')
local secs = tonumber(time[1])
local now = secs * 1000 + math.floor(tonumber(time[2]) / 1000)
local raw = redis.call('HMGET', KEYS[2], 's', 'a', 'u', 'm', 'f', 'e')
local state, tries, units, charged = raw[1], raw[2] or '', tonumber(raw[3] or 0), raw[4]
local alive = raw[6] and tonumber(raw[6]) > now
local account = redis.call('HMGET', KEYS[1], 'm', 'c')

local function number(n)
  return string.format('%.0f', n)
end

-- Writes fields of the message, and remembers it for ms from now.
local function keep(ms, ...)
  redis.call('HSET', KEYS[2], 'e', number(now + ms), ...)
  redis.call('PEXPIRE', KEYS[2], number(ms))
end

-- Tells whether a try can be settled.
local function open(try)
  return alive and state == RESERVED and try >= 1 and string.sub(tries, try, try) == '1'
end

-- Gives units back if the account is still in the month that was charged.
local function giveBack(n)
  if account[1] and account[1] == charged then
    redis.call('HINCRBY', KEYS[1], 'c', number(-n))
  end
end
