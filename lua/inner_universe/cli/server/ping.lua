-- ping.lua: `iu server ping`: does the server answer, and of what version is it?

local iu = require("inner_universe")
local out = require("inner_universe.cli.out")
local where = require("inner_universe.cli.server.where")

local ping = {
  summary = "whether it answers, and its version",
  usage = "[--server URL] [--json]",
  details = "",
  options = where.options({ json = { help = "one object: url, version, milliseconds" } }),
  max = 0,
}

function ping.run(options)
  local http, err = where.find(options)
  if not http then return out.fail("%s", out.message(err)) end
  local started = iu.now()
  local ok, why = http:ping()
  if not ok then return out.fail("%s", out.message(why)) end
  local milliseconds = (iu.now() - started) / 1000
  local health = http:health()
  local version = health and health.version or "unknown"
  if options.json then
    out.line("%s", assert(iu.json.encode({ url = http.url, version = version, milliseconds = milliseconds })))
  else
    out.line("%s answers in %.1f ms, version %s", http.url, milliseconds, version)
  end
  return 0
end

return ping
