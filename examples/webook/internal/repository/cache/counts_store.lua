-- Keeps a copy of a row of counters, unless the row was changed after it was read.
-- KEYS[1] the copy, KEYS[2] the lease
-- ARGV[1] who asks, ARGV[2] the copy's life in milliseconds, ARGV[3] to ARGV[6] reads,
-- likes, collects and version
-- Returns 1 when stored, 0 when the lease has gone.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'read_cnt', ARGV[3], 'like_cnt', ARGV[4], 'collect_cnt', ARGV[5], 'version', ARGV[6])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
