-- Ends an issue that was not sent; what was sent since stays.
-- ARGV[1] the issue's id
-- Returns {1} if it was the last one
if not raw[8] or raw[8] ~= ARGV[1] then
  return {0}
end
redis.call('HDEL', KEYS[1], 'i', 'm', 'u')
keep('n', 0)
return {1}
