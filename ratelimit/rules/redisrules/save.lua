-- Saves a revision if the latest is the one that its author saw.
-- KEYS[1]  the revisions, a list, newest first: "<number> <time> <until> <id> <document>"
-- ARGV[1]  the number that has to be the latest; 0 for none
-- ARGV[2]  a number that the new one has to exceed, too
-- ARGV[3]  the id of this call: the client may send it twice when a connection breaks
-- ARGV[4]  how long the revision lives, in us; 0 for good
-- ARGV[5]  how many revisions to keep
-- ARGV[6]  the channel on which to tell
-- ARGV[7]  the document
-- Returns {number, time, until} of the revision, in us, or {0, latest} if it is stale.
local head = redis.pcall('LINDEX', KEYS[1], 0)
local latest = 0
if head then
  if type(head) == 'table' then
    return head
  end
  latest = tonumber(string.match(head, '^(%d+) %d+ %d+ %w+ '))
  if not latest then
    return {err = 'BADSTATE no revision'}
  end
end
if latest ~= tonumber(ARGV[1]) then
  -- The first sending may have come through. More than a few others can hardly have
  -- saved since.
  for _, saved in ipairs(redis.call('LRANGE', KEYS[1], 0, 99)) do
    local number, time, ends, id = string.match(saved, '^(%d+) (%d+) (%d+) (%w+) ')
    if id == ARGV[3] then
      return {tonumber(number), tonumber(time), tonumber(ends)}
    end
  end
  return {0, latest}
end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local number = math.max(latest, tonumber(ARGV[2])) + 1
local life = tonumber(ARGV[4])
local ends = life > 0 and now + life or 0
local line = string.format('%.0f %.0f %.0f %s ', number, now, ends, ARGV[3]) .. ARGV[7]
redis.call('LPUSH', KEYS[1], line)
redis.call('LTRIM', KEYS[1], 0, ARGV[5] - 1)
redis.call('PUBLISH', ARGV[6], string.format('%.0f', number))
return {number, now, ends}
