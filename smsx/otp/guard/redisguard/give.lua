-- Gives to the accounts, and takes from the day's count.
-- ARGV[4] how much to each account   ARGV[5] how many sends of the day
-- Returns {1}
for i = 1, 3 do
  add(account(i), tonumber(ARGV[4]))
end
if tonumber(ARGV[5]) > 0 then
  spend(math.max(spent() - tonumber(ARGV[5]), 0))
end
return {1}
