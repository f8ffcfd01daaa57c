-- Reads one profile with an access token: served from the cache. The user agent
-- must be the one that logged in: a token is bound to it.
local token = assert(os.getenv("TOKEN"), "set TOKEN")

wrk.path = "/users/profile"
wrk.headers["Authorization"] = "Bearer " .. token
wrk.headers["User-Agent"] = assert(os.getenv("AGENT"), "set AGENT")

dofile((os.getenv("WRK_SCRIPTS") or "scripts/wrk") .. "/verdict.lua")
