-- Signs up a new account with each request: a write, bound by the password hash.
-- Give a RUN that differs from every run before, so that no e-mail repeats.
local run = os.getenv("RUN") or tostring(os.time())
local password = os.getenv("PASSWORD") or "correct#horse7"
local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

local sent, failed = 0, 0

function request()
  sent = sent + 1
  local email = string.format("%s.%d.%d@example.com", run, number, sent)
  local body = string.format('{"email":"%s","password":"%s","confirmPassword":"%s"}', email, password, password)
  return wrk.format("POST", "/users/signup", { ["Content-Type"] = "application/json" }, body)
end

dofile((os.getenv("WRK_SCRIPTS") or "scripts/wrk") .. "/verdict.lua")
