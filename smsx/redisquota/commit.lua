-- Ends a reservation as spent.
-- ARGV[1] the try   ARGV[2] units spent   ARGV[3] retention, ms
-- Returns {1} if it did so now
local try = tonumber(ARGV[1])
if not open(try) then
  return {0}
end
local rest = units - tonumber(ARGV[2])
if rest > 0 and select(2, string.gsub(tries, '1', '')) == 1 then
  giveBack(rest)
end
keep(tonumber(ARGV[3]), 's', COMMITTED)
return {1}
