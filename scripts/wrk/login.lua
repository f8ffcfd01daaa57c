-- Logs one account in, again and again: a read, bound by the password hash.
local email = assert(os.getenv("EMAIL"), "set EMAIL")
local password = assert(os.getenv("PASSWORD"), "set PASSWORD")

wrk.method = "POST"
wrk.path = "/users/login"
wrk.headers["Content-Type"] = "application/json"
wrk.body = string.format('{"email":"%s","password":"%s"}', email, password)

dofile((os.getenv("WRK_SCRIPTS") or "scripts/wrk") .. "/verdict.lua")
