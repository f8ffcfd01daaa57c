-- Finishes a change. Only one that was alone from its begin to its end knows what the
-- copy is now; after changes that overlap there is none, and the next reader makes it.
-- KEYS[1] the copy, KEYS[2] the record of its changes
-- ARGV[1] the number of the change, 0 when it did not begin alone
-- ARGV[2] the new copy, empty for none, ARGV[3] its life in milliseconds
-- ARGV[4] how long the record lives in milliseconds
-- Returns 1 when the copy was stored, else 0.
redis.call('DEL', KEYS[1])
if redis.call('EXISTS', KEYS[2]) == 0 then
  return 0 -- so late that the record is gone
end
if redis.call('HINCRBY', KEYS[2], 'open', -1) < 0 then
  redis.call('HSET', KEYS[2], 'open', '0')
end
local number = redis.call('HINCRBY', KEYS[2], 'changes', 1)
redis.call('PEXPIRE', KEYS[2], ARGV[4])
if ARGV[2] == '' or tonumber(ARGV[1]) ~= number - 1 then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
