-- Brings the copy of a row of counters up to a change of the row. Where there is no
-- copy it makes none: one with the changed counter alone, or without an end, would be
-- wrong for ever. It only takes the lease away, whose holder may have read the row
-- before the change.
-- KEYS[1] the copy, KEYS[2] the lease
-- ARGV[1] to ARGV[4] reads, likes, collects and version after the change
-- Returns 1 when the copy was renewed, 0 when there is none or a newer one.
redis.call('DEL', KEYS[2])
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
if (tonumber(redis.call('HGET', KEYS[1], 'version') or '') or -1) >= tonumber(ARGV[4]) then
  return 0
end
redis.call('HSET', KEYS[1], 'read_cnt', ARGV[1], 'like_cnt', ARGV[2], 'collect_cnt', ARGV[3], 'version', ARGV[4])
return 1
