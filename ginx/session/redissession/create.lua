-- Stores a server-side session without fields.
-- KEYS[1]  the session, as in access.lua
-- ARGV[1]  time to live in ms
-- ARGV[2]  id
-- ARGV[3]  uid
-- ARGV[4]  end in ms
-- Returns 1; 0 when the session would have ended already.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local ttl = math.min(tonumber(ARGV[1]), tonumber(ARGV[4]) - now)
if ttl <= 0 then
  return 0
end
redis.call('HSET', KEYS[1], 'id', ARGV[2], 'uid', ARGV[3], 'end', ARGV[4], 'ext', string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ttl))
return 1
