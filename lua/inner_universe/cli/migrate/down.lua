-- down.lua: `iu migrate down`: takes back the last one, or all behind a number.

local running = require("inner_universe.cli.migrate.running")

local down = {
  summary = "take back the last one, or all behind a number",
  usage = "[TARGET] [--to NUMBER] [--dry-run] [--json]",
  details = "",
  options = running.options { to = { value = "NUMBER", help = "all behind this one; 0: all" } },
  max = 1,
}

function down.run(options, arguments) return running.run("down", options, arguments[1], { to = options.to }, "take back") end

return down
