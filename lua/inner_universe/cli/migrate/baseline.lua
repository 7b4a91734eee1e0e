-- baseline.lua: `iu migrate baseline`: takes the folder as it is for what was applied.

local out = require("inner_universe.cli.out")
local place = require("inner_universe.cli.migrate.place")

local baseline = {
  summary = "take the folder as it is for what was applied, without running anything",
  usage = "[TARGET] [--to NUMBER] [--dry-run] [--json]",
  details = [[
Files up to --to (default: all) count as applied; files that were changed since count as they are now; what was applied and has no file any more is
forgotten.]],
  options = place.options {
    to = { value = "NUMBER", help = "as far as this one" },
    ["dry-run"] = { help = "only tell" },
    ["lock-timeout"] = { value = "SECONDS", number = true, help = "how long to wait for another run to end (10)" },
  },
  max = 1,
}

function baseline.run(options, arguments)
  local migrations, err = place.find(options, arguments[1])
  if not migrations then return place.fail(options, err) end
  local report
  report, err = migrations:baseline { to = options.to, dry_run = options["dry-run"], lock_timeout = options["lock-timeout"] }
  if not report then return place.fail(options, err) end
  if options.json then return place.json(report) end
  for _, each in ipairs(report.recorded) do out.line("%s: %s", each.name, each.status) end
  if #report.recorded == 0 then out.line("the folder fits already") end
  if report.dry_run and #report.recorded > 0 then out.line("nothing was changed (--dry-run)") end
  return 0
end

return baseline
