-- Decides about a send, and charges it.
-- ARGV[4] sends a day   ARGV[5] countries that a network may ask for   ARGV[6] the country
-- Returns {0 if it is allowed, else why not: 1 spend, 2 network, 3 countries, 4 prefix, 5 country}
local country = 'c:' .. ARGV[6]
local network, prefix, all = account(1), account(2), account(3)

-- Whether an account may be charged. That it ran dry is kept.
local function open(a)
  local dry = a.credit < 1 or a.dry and a.credit < a.most / 2
  if dry and not a.dry then
    redis.call('HSET', a.key, 'd', '1')
  end
  a.dry = dry
  return not dry
end

local reached = tonumber(redis.call('HGET', KEYS[5], 'd') or -1) == today
local n = spent()
if n >= tonumber(ARGV[4]) then
  return {1}
elseif not open(network) then
  return {2}
elseif reached and redis.call('HLEN', KEYS[5]) - 1 >= tonumber(ARGV[5]) and redis.call('HEXISTS', KEYS[5], country) == 0 then
  return {3}
elseif not open(prefix) then
  return {4}
elseif not open(all) then
  return {5}
end
add(network, -1)
add(prefix, -1)
add(all, -1)
spend(n + 1)
if not reached then
  redis.call('DEL', KEYS[5])
end
redis.call('HSET', KEYS[5], 'd', string.format('%.0f', today), country, '1')
redis.call('PEXPIRE', KEYS[5], DAY + SLACK)
return {0}
