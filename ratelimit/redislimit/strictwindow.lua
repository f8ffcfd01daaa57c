-- Counts in tenths of the window, and takes the oldest, of which only a part lies
-- within the last window, as a whole.
-- KEYS[1]  "<tenth in us> <number of the newest tenth> <its count> <that before> ..."
-- ARGV[1]  cost; 0 changes nothing
-- ARGV[2]  limit
-- ARGV[3]  tenth of the window in us
-- Returns {sum before, us until a refused cost fits, us until all is back}, the
-- last with the cost counted: it was when it and the sum make at most the limit.
local SLACK = 1000 -- ms that a key outlives its use
local PARTS = 10
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local cost, limit, part = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local index = math.floor(now / part)

-- counts[i] is that of the tenth index - i + 1.
local counts, sum, back = {}, 0, false
for i = 1, PARTS + 1 do
  counts[i] = 0
end
local state = redis.pcall('GET', KEYS[1])
if state then
  if type(state) == 'table' then
    return state
  end
  local width, newest, list = string.match(state, '^(%d+) (%d+)([%d ]+)$')
  width = tonumber(width)
  if not width or width < 1 or #state > 256 then
    return {err = 'BADSTATE not a strict window'}
  end
  local shift = math.floor(now / width) - tonumber(newest)
  if shift < 0 then -- the clock was set back: the newest counts as of now
    shift, back = 0, true
  end
  local i = 1 + shift
  for count in string.gmatch(list, '%d+') do
    if i > PARTS + 1 then
      break
    end
    -- Another window than before: all that counts, counts as of now.
    local to = width == part and i or 1
    counts[to] = math.min(counts[to] + tonumber(count), 4294967295)
    i = i + 1
  end
end
for i = 1, PARTS + 1 do
  sum = sum + counts[i]
end

-- freed is the time until at least n of what counts will have left.
local function freed(n)
  for i = PARTS + 1, 1, -1 do
    n = n - counts[i]
    if n <= 0 then
      return (index - i + 1 + PARTS + 1) * part - now
    end
  end
  return 0
end

local admitted = sum + cost <= limit
local retry = 0
if not admitted then
  retry = freed(sum + cost - limit)
end
if cost > 0 and (admitted or back) then
  if admitted then
    counts[1] = counts[1] + cost
  end
  local text, last = {}, 1
  for i = 1, PARTS + 1 do
    text[i] = string.format('%.0f', counts[i])
    if counts[i] > 0 then
      last = i
    end
  end
  redis.call('SET', KEYS[1],
    string.format('%.0f %.0f ', part, index) .. table.concat(text, ' ', 1, last),
    'PX', string.format('%.0f', math.ceil((PARTS + 1) * part / 1000) + SLACK))
end
local used = sum
if admitted then
  used = sum + cost
end
return {sum, retry, used > 0 and freed(used) or 0}
