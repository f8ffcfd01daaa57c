-- Reads and changes a server-side session, if it lives.
-- KEYS[1]  the session: a hash of id, uid, end (ms), ext (ms, last extension) and
--          the fields, whose names begin with "f:"
-- ARGV[1]  time to live in ms, 0 for no extension
-- ARGV[2]  ms that must have passed since the last extension
-- ARGV[3]  number of fields to set, n
-- ARGV[4]  number of fields to delete, m
-- ARGV[5…] n pairs of name and value, m names, then the names to read
-- Returns nothing when there is no session, else id, uid, end, 1 when it was
-- extended or else 0, and the values read.
local meta = redis.call('HMGET', KEYS[1], 'id', 'uid', 'end', 'ext')
if not meta[3] then
  return {}
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local left = tonumber(meta[3]) - now
if left <= 0 then
  redis.call('DEL', KEYS[1])
  return {}
end
local at = 5
for _ = 1, tonumber(ARGV[3]) do
  redis.call('HSET', KEYS[1], 'f:' .. ARGV[at], ARGV[at + 1])
  at = at + 2
end
for _ = 1, tonumber(ARGV[4]) do
  redis.call('HDEL', KEYS[1], 'f:' .. ARGV[at])
  at = at + 1
end
local answer = {meta[1], meta[2], meta[3], 0}
local ttl = tonumber(ARGV[1])
if ttl > 0 and now - tonumber(meta[4]) >= tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[1], 'ext', string.format('%.0f', now))
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.min(ttl, left)))
  answer[4] = 1
end
for i = at, #ARGV do
  answer[#answer + 1] = redis.call('HGET', KEYS[1], 'f:' .. ARGV[i])
end
return answer
