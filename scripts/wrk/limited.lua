-- Asks for more than a limit allows, on an app with its limits on: each answer must
-- be a success or a 429 as the contract wants it, and there must be both.
local token = os.getenv("TOKEN")

wrk.path = "/hello"
if token then wrk.headers["Authorization"] = "Bearer " .. token end

admitted, limited, wrong, sample = 0, 0, 0, ""
local all = {}

function setup(thread) table.insert(all, thread) end

local function refusal(headers, body)
  local h = {}
  for name, value in pairs(headers) do h[string.lower(name)] = value end
  local after = tonumber(h["retry-after"] or "")
  return after and after >= 1 and h["ratelimit"] and h["ratelimit-policy"]
    and string.find(body, '"code":%-?[1-9]') and string.find(body, '"msg":"', 1, true)
    and string.find(body, '"data":', 1, true)
end

function response(status, headers, body)
  if status == 200 and string.find(body, '"code":0', 1, true) then
    admitted = admitted + 1
  elseif status == 429 and refusal(headers, body) then
    limited = limited + 1
  else
    wrong = wrong + 1
    if sample == "" then
      sample = status .. " " .. body
      for name, value in pairs(headers) do sample = sample .. "\n  " .. name .. ": " .. value end
    end
  end
end

function done(summary, latency, requests)
  local n = { admitted = 0, limited = 0, wrong = 0 }
  local shown = ""
  for _, thread in ipairs(all) do
    for name in pairs(n) do n[name] = n[name] + thread:get(name) end
    if shown == "" then shown = thread:get("sample") end
  end
  local e, seconds = summary.errors, summary.duration / 1e6
  io.write(string.format("%.0f/s asked, %.1f/s admitted, %d limited, %d wrong, p99 %.2f ms, socket errors: %d\n",
    summary.requests / seconds, n.admitted / seconds, n.limited, n.wrong, latency:percentile(99) / 1000,
    e.connect + e.read + e.write + e.timeout))
  if n.wrong > 0 or n.admitted == 0 or n.limited == 0 then
    io.write("INVALID: wanted successes and refusals and nothing else, saw: " .. shown .. "\n")
    os.exit(1)
  end
end
