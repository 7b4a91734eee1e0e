-- redo.lua: `iu migrate redo`: takes back the last one, and applies it as its file is now.

local running = require("inner_universe.cli.migrate.running")

local redo = {
  summary = "take back the last one, and apply it as its file is now",
  usage = "[TARGET] [--to NUMBER] [--dry-run] [--json]",
  details = "",
  options = running.options { to = { value = "NUMBER", help = "this one and all behind it" } },
  max = 1,
}

function redo.run(options, arguments) return running.run("redo", options, arguments[1], { to = options.to }, "redo") end

return redo
