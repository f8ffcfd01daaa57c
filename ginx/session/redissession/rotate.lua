-- Moves a session to its next generation.
-- KEYS[1]  the session: "<generation>:<ms since it is current>"
-- ARGV[1]  presented generation
-- ARGV[2]  grace in ms
-- ARGV[3]  time to live in ms
-- Returns the generation to hand out; 0 when there is no session; -1 when the
-- presented one was spent, and the session has been deleted.
local state = redis.call('GET', KEYS[1])
if not state then
  return 0
end
local colon = string.find(state, ':', 1, true)
local current = tonumber(string.sub(state, 1, colon - 1))
local since = tonumber(string.sub(state, colon + 1))
local presented = tonumber(ARGV[1])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
if presented >= current then
  local next = presented + 1
  redis.call('SET', KEYS[1], string.format('%.0f:%.0f', next, now), 'PX', ARGV[3])
  return next
end
if presented == current - 1 and now - since < tonumber(ARGV[2]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  return current
end
redis.call('DEL', KEYS[1])
return -1
