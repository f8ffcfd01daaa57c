-- Compares a guess, and uses the code up when it is right. What is compared are
-- MACs under a secret that Redis does not know: how long it takes tells nothing.
-- ARGV[1] the guess's id   ARGV[2] validity, ms   ARGV[3] failures a day
-- ARGV[4] failures in 30 days   ARGV[5...] key id and MAC, for each key
-- Returns {outcome}
local id = ARGV[1] .. ':'
if raw[9] and string.sub(raw[9], 1, #id) == id then
  return {tonumber(string.sub(raw[9], #id + 1))} -- the client lost our answer and asks again
end
if not code then
  return {ABSENT}
elseif ends - now <= 0 or ends - now > tonumber(ARGV[2]) + SETBACK then
  return {EXPIRED}
elseif tries <= 0 then
  return {EXHAUSTED}
elseif lockedFor(tonumber(ARGV[3]), tonumber(ARGV[4])) > 0 then
  return {LOCKED}
end
for i = 5, #ARGV do
  if ARGV[i] == code then
    redis.call('HDEL', KEYS[1], 'm')
    keep('v', id .. VERIFIED)
    return {VERIFIED}
  end
end
failed = string.sub(failed, 1, DAYS - 1) .. string.char(string.byte(failed, DAYS) + 1)
keep('v', id .. WRONG, 'n', tries - 1)
return {WRONG}
