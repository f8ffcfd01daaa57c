-- What all scripts begin with.
-- KEYS[1..3] hashes, the accounts of the network, the prefix and the country:
--   c  the credit   a  when it was that, ms   d  1 since it ran dry, until seen half full
-- KEYS[4] a hash: d  day   n  sends charged on it
-- KEYS[5] a hash: d  day   c:...  the countries that the network asked for on it
-- All of them end when they are as good as new.
-- ARGV[1..3] what the accounts hold at most
local DAY, SLACK = 86400000, 1000
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local today = math.floor(now / DAY)
local whole = string.format('%.0f', now)

-- An account, with what time has brought. A clock that was set back brings nothing, and
-- goes on from there.
local function account(i)
  local raw = redis.call('HMGET', KEYS[i], 'c', 'a', 'd')
  local a = {key = KEYS[i], most = tonumber(ARGV[i]), dry = raw[3] == '1'}
  a.credit = a.most
  if raw[1] then
    if tonumber(raw[2]) > now then
      redis.call('HSET', a.key, 'a', whole)
    end
    a.credit = math.min(tonumber(raw[1]) + a.most * math.max(now - tonumber(raw[2]), 0) / DAY, a.most)
  end
  return a
end

-- Gives n, or charges.
local function add(a, n)
  local credit = math.min(a.credit + n, a.most)
  redis.call('HSET', a.key, 'c', string.format('%.17g', credit), 'a', whole, 'd', a.dry and '1' or '0')
  redis.call('PEXPIRE', a.key, string.format('%.0f', math.ceil((a.most - credit) / a.most * DAY) + SLACK))
end

-- What was charged today.
local function spent()
  local raw = redis.call('HMGET', KEYS[4], 'd', 'n')
  return tonumber(raw[1] or -1) == today and tonumber(raw[2]) or 0
end

local function spend(n)
  redis.call('HSET', KEYS[4], 'd', string.format('%.0f', today), 'n', string.format('%.0f', n))
  redis.call('PEXPIRE', KEYS[4], DAY + SLACK)
end
