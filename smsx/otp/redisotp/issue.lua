-- Puts a new code in the place of the one before.
-- ARGV[1] the issue's id   ARGV[2] key id and MAC     ARGV[3] validity, ms
-- ARGV[4] cooldown, ms     ARGV[5] tries              ARGV[6] sends an hour
-- ARGV[7] sends a day      ARGV[8] failures a day     ARGV[9] failures in 30 days
-- Returns {outcome, ms to wait}
if raw[8] == ARGV[1] then
  return {GRANTED, 0} -- the client lost our answer and asks again
end
local locked = lockedFor(tonumber(ARGV[8]), tonumber(ARGV[9]))
if locked > 0 then
  return {LOCKED, locked}
end
local wait = cooldown - now
if wait > tonumber(ARGV[4]) + SETBACK then
  wait = 0 -- the clock was set back; the hour's count still holds
end
for window, limit in pairs({[HOUR] = tonumber(ARGV[6]), [DAY] = tonumber(ARGV[7])}) do
  if #sends >= limit then
    wait = math.max(wait, (sends[#sends - limit + 1] + window - secs) * 1000)
  end
end
if wait > 0 then
  return {LIMITED, wait}
end
sends[#sends + 1] = secs + 1 -- rounded up, so that no window is short
ends = now + tonumber(ARGV[3])
keep('i', ARGV[1], 'm', ARGV[2], 'n', ARGV[5],
  'u', string.format('%.0f', now + tonumber(ARGV[4])), 'e', string.format('%.0f', ends))
return {GRANTED, 0}
