-- Reads the instances that are not forgotten.
-- KEYS[1]  the instances
-- Returns {name, seen, document, name, …}, seen as text, in us.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local all = redis.call('HGETALL', KEYS[1])
local live = {}
for i = 1, #all, 2 do
  local ends, seen, document = string.match(all[i + 1], '^(%d+) (%d+) (.*)$')
  if ends and tonumber(ends) > now then
    live[#live + 1] = all[i]
    live[#live + 1] = seen
    live[#live + 1] = document
  end
end
return live
