-- verify.lua: `iu migrate verify`: does the folder fit what was applied?

local out = require("inner_universe.cli.out")
local place = require("inner_universe.cli.migrate.place")

local verify = {
  summary = "does the folder fit what was applied?",
  usage = "[TARGET] [--json]",
  details = [[
Checksums leave out comments and white space. Exit status 1 where a file was changed after it had been applied, is missing, came out of order or cannot
be read: each is named, with what to do.]],
  options = place.options(),
  max = 1,
}

function verify.run(options, arguments)
  local migrations, err = place.find(options, arguments[1])
  if not migrations then return place.fail(options, err) end
  local report
  report, err = migrations:verify()
  if not report then
    local problems = type(err) == "table" and err.details and err.details.problems
    if problems and not options.json then
      for _, problem in ipairs(problems) do out.error(problem.message) end
      return 1
    end
    return place.fail(options, err)
  end
  if options.json then return place.json(report) end
  out.line("%s fit: %s applied, %s pending", out.count(report.files, "file"), out.thousands(report.applied), out.thousands(report.pending))
  return 0
end

return verify
