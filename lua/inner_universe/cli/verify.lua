-- verify.lua: `iu verify FILE`: every state rebuilt from what is stored, every hash computed anew.

local out = require("inner_universe.cli.out")
local versions = require("inner_universe.cli.versions")

local verify = {
  summary = "check the states of all versions against their hashes",
  usage = "FILE [--json]",
  details = [[
Rebuilds the state of every version, oldest first, and computes its hash; the first one that is not what it was is named. FILE is a universe file, which is only
read, or ws://host:port/database. `iu check` looks at the file itself: checksums, rows and indexes.
Exit status: 0 everything is as it was committed, 1 something is not.]],
  options = versions.options({ json = { help = "one object" } }),
  min = 1,
  max = 1,
}

local function run(store, options, target)
  local report, err = store:verify()
  if options.json and (report or err.kind == "StorageError") then
    local ok = report ~= nil
    local status, why = versions.print_compact({
      ok = ok, versions = report and report.versions, stateless = report and report.stateless, bytes = report and report.bytes,
      version_id = not ok and err.details and err.details.version_id or nil, message = not ok and out.message(err) or nil,
    })
    if status == nil then return nil, why end
    return ok and status or 1
  end
  if not report then return nil, err end
  local stateless = report.stateless > 0 and ("; %s committed without a state"):format(out.thousands(report.stateless)) or ""
  out.line("%s: nothing is wrong; %s, %s of states%s", target, out.count(report.versions, "version"), out.bytes(report.bytes), stateless)
  return 0
end

function verify.run(options, arguments)
  return versions.with_store(arguments[1], function(store) return run(store, options, arguments[1]) end)
end

return verify
