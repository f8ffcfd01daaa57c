-- Keeps a copy, unless the entry is fenced because it was changed just now.
-- KEYS[1] the entry, KEYS[2] its fence
-- ARGV[1] the copy, ARGV[2] its life in milliseconds
-- Returns 1 when stored, 0 when fenced.
if redis.call('EXISTS', KEYS[2]) == 1 then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
