-- Takes as many tokens as there are out of a token bucket, between two bounds.
-- KEYS[1]  the time at which the bucket will be full again
-- ARGV[1]  the least to take
-- ARGV[2]  the most to take
-- ARGV[3]  us in which a token refills
-- ARGV[4]  a full bucket, in us of refilling
-- Returns {tokens taken, what is missing then, in us of refilling}.
local SLACK = 1000 -- ms that a key outlives its use
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local least, most, spacing, full = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local state = redis.pcall('GET', KEYS[1])
local missing, over = 0, false
if state then
  if type(state) == 'table' then
    return state
  end
  local tat = tonumber(state)
  if not tat or tat < 0 or tat % 1 ~= 0 then
    return {err = 'BADSTATE not a token bucket'}
  end
  over = tat - now > full -- the burst was lowered, or the clock set back
  missing = over and full or math.max(tat - now, 0)
end
local taken = math.min(math.floor((full - missing) / spacing), most)
if taken < least then
  taken = 0
end
if taken > 0 or over then
  missing = missing + taken * spacing
  redis.call('SET', KEYS[1], string.format('%.0f', now + missing),
    'PX', string.format('%.0f', math.ceil(missing / 1000) + SLACK))
end
return {taken, missing}
