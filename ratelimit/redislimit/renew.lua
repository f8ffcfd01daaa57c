-- Keeps a lease alive. One that has ended meanwhile is taken again, beyond the
-- limit if need be: its call runs, and must be counted.
-- KEYS[1]  sorted set of lease names by when they end, in us
-- ARGV[1]  name of the lease
-- ARGV[2]  how long a lease lives, in us
-- Returns {1 when it had ended, else 0}.
local SLACK = 1000 -- ms that a key outlives its use
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local life = tonumber(ARGV[2])
local added = redis.pcall('ZADD', KEYS[1], string.format('%.0f', now + life), ARGV[1])
if type(added) == 'table' then
  return added
end
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil(life / 1000) + SLACK))
return {added}
