-- Begins a change: the copy goes, and nobody stores one until the change is finished.
-- KEYS[1] the copy, KEYS[2] the record of its changes
-- ARGV[1] how long the record lives in milliseconds
-- Returns the number of the change, or 0 when another one is under way.
redis.call('DEL', KEYS[1])
local number = redis.call('HINCRBY', KEYS[2], 'changes', 1)
local open = redis.call('HINCRBY', KEYS[2], 'open', 1)
redis.call('PEXPIRE', KEYS[2], ARGV[1])
if open > 1 then
  return 0
end
return number
