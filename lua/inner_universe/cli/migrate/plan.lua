-- plan.lua: `iu migrate plan`: the steps that `up` (or `down`) would take, and the rows they would touch.

local out = require("inner_universe.cli.out")
local place = require("inner_universe.cli.migrate.place")

local plan = {
  summary = "the steps that `up` would take, with numbers of rows; nothing is executed",
  usage = "[TARGET] [--to NUMBER] [--down] [--json]",
  details = [[
The migrations' functions run against a universe that only notes what they ask for; functions over rows are not called. On a server it tells whether the module
would be accepted and which clients it breaks.]],
  options = place.options {
    to = { value = "NUMBER", help = "as far as this one (down: back to it)" },
    down = { help = "of `down`" },
    ["allow-out-of-order"] = { help = "also new files with a lower number than what was applied" },
  },
  max = 1,
}

local function print_module(module)
  out.line("      %s, %s (by %s)", module.accepted and "the server accepts it" or "the server refuses it",
    module.breaks_clients and "running clients break" or "running clients go on", module.by == "server" and "the server's plan" or "comparing the schemas")
  for line in module.text:gmatch("[^\n]+") do out.line("      %s", line) end
  for _, change in ipairs(module.changes) do
    if change.breaks then out.line("      breaks %s: %s %s", change.breaks, change.table or change.reducer, change.what) end
  end
end

local function print_plan(answer)
  for _, each in ipairs(answer.migrations) do
    local way = each.online and "online" or "one transaction"
    out.line("%s %s, %s%s", each.name, each.direction, way, each.description ~= "" and ": " .. each.description or "")
    for i, step in ipairs(each.steps) do
      out.line("  %2d. %s%s", i, step.text, step.rows and " (" .. out.count(step.rows, "row") .. ")" or "")
      if step.module then print_module(step.module) end
      if step.problem then out.line("      %s", step.problem) end
    end
    if each.incomplete then out.line("  it could not be planned further: %s", each.incomplete) end
  end
  if #answer.migrations == 0 then out.line("there is nothing to do") end
end

function plan.run(options, arguments)
  local migrations, err = place.find(options, arguments[1])
  if not migrations then return place.fail(options, err) end
  local answer
  answer, err = migrations:plan { to = options.to, direction = options.down and "down" or "up", allow_out_of_order = options["allow-out-of-order"] }
  if not answer then return place.fail(options, err) end
  if options.json then return place.json(answer) end
  print_plan(answer)
  return 0
end

return plan
