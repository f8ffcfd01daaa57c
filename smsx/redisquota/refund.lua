-- Notes that a try has sent nothing; the last one gives the charge back.
-- ARGV[1] the try   ARGV[2] retention, ms
-- Returns {1} if it was noted now
local try = tonumber(ARGV[1])
if not open(try) then
  return {0}
end
tries = string.sub(tries, 1, try - 1) .. '0' .. string.sub(tries, try + 1)
if not string.find(tries, '1') then
  state = REFUNDED
  giveBack(units)
end
keep(tonumber(ARGV[2]), 's', state, 'a', tries)
return {1}
