-- up.lua: `iu migrate up`: applies what is pending, in order.

local running = require("inner_universe.cli.migrate.running")

local up = {
  summary = "apply what is pending, in order",
  usage = "[TARGET] [--to NUMBER] [--dry-run] [--json]",
  details = [[
Each migration is one transaction, or, marked `online`, a series of batches that go on where they ended. The first failure ends the run: what was done
before stays, the failure is recorded, and `up` again goes on.]],
  options = running.options {
    to = { value = "NUMBER", help = "as far as this one" },
    create = { help = "make the file where there is none" },
    ["allow-out-of-order"] = { help = "also new files with a lower number than what was applied" },
  },
  max = 1,
}

function up.run(options, arguments)
  return running.run("up", options, arguments[1], { to = options.to, create = options.create, allow_out_of_order = options["allow-out-of-order"] }, "apply")
end

return up
