-- Notes what an instance runs, and forgets those that have not been heard of.
-- KEYS[1]  the instances, a hash: name to "<until> <seen> <document>", in us
-- ARGV[1]  the instance's name
-- ARGV[2]  for how long to remember it, in us; 0 to forget it now
-- ARGV[3]  the document
-- Returns 1.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local life = tonumber(ARGV[2])
if life > 0 then
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f %.0f ', now + life, now) .. ARGV[3])
else
  redis.call('HDEL', KEYS[1], ARGV[1])
end
local last = 0
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local ends = tonumber(string.match(all[i + 1], '^(%d+) '))
  if ends and ends > now then
    last = math.max(last, ends)
  else
    redis.call('HDEL', KEYS[1], all[i])
  end
end
if last > 0 then
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil((last - now) / 1000)))
end
return 1
