-- Checks several token buckets and charges all of them, or none.
-- KEYS[1]  hash of the times, in us, at which the buckets will be full again, by
--          the names of the limits
-- ARGV     for each limit: its name; what to take, in us of refilling, where 0
--          changes nothing; and a full bucket, in us of refilling
-- Returns {what was missing before, in us of refilling, for each limit}: all were
-- charged when each had enough.
local SLACK = 1000 -- ms that a key outlives its use
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local names, charges, fulls = {}, {}, {}
for i = 1, #ARGV / 3 do
  names[i], charges[i], fulls[i] = ARGV[3 * i - 2], tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
end
local state = redis.pcall('HMGET', KEYS[1], unpack(names))
if state.err then
  return state
end
local missing, over, enough, peek = {}, {}, true, true
for i = 1, #names do
  missing[i] = 0
  if state[i] then
    local tat = tonumber(state[i])
    if not tat or tat < 0 or tat % 1 ~= 0 then
      return {err = 'BADSTATE not a set of token buckets'}
    end
    over[i] = tat - now > fulls[i] -- the burst was lowered, or the clock set back
    missing[i] = over[i] and fulls[i] or math.max(tat - now, 0)
  end
  enough = enough and missing[i] + charges[i] <= fulls[i]
  peek = peek and charges[i] == 0
end
if not peek then
  local changes, longest = {}, 0
  for i = 1, #names do
    local after = missing[i] + (enough and charges[i] or 0)
    if enough or over[i] then
      changes[#changes + 1] = names[i]
      changes[#changes + 1] = string.format('%.0f', now + after)
    end
    longest = math.max(longest, after)
  end
  if #changes > 0 then
    redis.call('HSET', KEYS[1], unpack(changes))
    -- An instance with other limits may need the hash for longer.
    local life = math.ceil(longest / 1000) + SLACK
    if redis.call('PTTL', KEYS[1]) < life then
      redis.call('PEXPIRE', KEYS[1], string.format('%.0f', life))
    end
  end
end
return missing
