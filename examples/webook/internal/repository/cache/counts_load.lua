-- Reads the copy of a row of counters or, where there is none, lets one of those who
-- look read the row and store it.
-- KEYS[1] the copy, KEYS[2] the lease
-- ARGV[1] who asks, ARGV[2] the lease's life in milliseconds
-- Returns {reads, likes, collects, version}, or {1} for who may store the copy, {0}
-- for the others.
local copy = redis.call('HMGET', KEYS[1], 'read_cnt', 'like_cnt', 'collect_cnt', 'version')
if copy[1] and copy[2] and copy[3] and copy[4] then
  return copy
end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return {'1'}
end
return {'0'}
