-- Keeps a copy of what was read, unless it has been changed since, or is being changed.
-- KEYS[1] the copy, KEYS[2] the record of its changes
-- ARGV[1] the count of changes when the read began, ARGV[2] the copy, ARGV[3] its life in milliseconds
-- Returns 1 when stored, 0 when refused.
local record = redis.call('HMGET', KEYS[2], 'changes', 'open')
if tonumber(record[1] or 0) ~= tonumber(ARGV[1]) or tonumber(record[2] or 0) > 0 then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
