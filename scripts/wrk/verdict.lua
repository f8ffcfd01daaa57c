-- Counts answers that are no success: a figure made of errors is none. Besides the
-- status the code in the body must be 0. Shared by the other scripts.
failures = 0
sample = ""
local all = {}
local inner = setup

function setup(thread)
  table.insert(all, thread)
  if inner then inner(thread) end
end

function response(status, headers, body)
  if status ~= 200 or not string.find(body, '"code":0', 1, true) then
    failures = failures + 1
    if sample == "" then sample = status .. " " .. body end
  end
end

function done(summary, latency, requests)
  local failed, shown = 0, ""
  for _, thread in ipairs(all) do
    failed = failed + thread:get("failures")
    if shown == "" then shown = thread:get("sample") end
  end
  local e = summary.errors
  io.write(string.format("p50 %.2f ms  p90 %.2f ms  p99 %.2f ms  p99.9 %.2f ms  max %.2f ms\n",
    latency:percentile(50) / 1000, latency:percentile(90) / 1000, latency:percentile(99) / 1000,
    latency:percentile(99.9) / 1000, latency.max / 1000))
  io.write(string.format("%d requests, %.0f/s, failed: %d, socket errors: %d\n", summary.requests,
    summary.requests / (summary.duration / 1e6), failed, e.connect + e.read + e.write + e.timeout))
  if failed > 0 or summary.requests == 0 then
    io.write("INVALID: not all answers were successes, for example: " .. shown .. "\n")
    os.exit(1)
  end
end
