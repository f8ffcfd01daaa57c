-- Reads the latest revision, together with the time.
-- KEYS[1]  the revisions, newest first
-- Returns {seconds, us, line}, without the line if there is no revision.
local time = redis.call('TIME')
local head = redis.pcall('LINDEX', KEYS[1], 0)
if type(head) == 'table' then
  return head
end
if not head then -- a nil in the answer is no text to a client
  return {time[1], time[2]}
end
return {time[1], time[2], head}
