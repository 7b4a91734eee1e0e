-- status.lua: `iu migrate status`: what is applied, what is pending, what does not fit.

local out = require("inner_universe.cli.out")
local place = require("inner_universe.cli.migrate.place")

local status = {
  summary = "what is applied, and what is pending",
  usage = "[TARGET] [--json]",
  details = [[
Reads only, also while a program has the file open. Exit status 1 where a file was changed after it had been applied, is missing, came out of order or
cannot be read.]],
  options = place.options(),
  max = 1,
}

local function state_of(each)
  local done = each.total and each.total > 0 and (" %d%%"):format(each.done * 100 // each.total) or ""
  return each.state:gsub("_", " ") .. done
end

local function print_status(answer)
  local cells = {}
  for i, each in ipairs(answer.migrations) do
    local took = each.duration_ms and each.applied_at and ("%d ms"):format(each.duration_ms) or ""
    cells[i] = { each.name, state_of(each), place.time(each.applied_at or each.failed_at), took, ((each.error or each.description or ""):gsub("%s+", " ")) }
  end
  if #cells > 0 then
    out.write(out.table({ "migration", "state", "when", "took", "" }, cells, { right = { [4] = true }, width = out.is_terminal() and out.width() or nil }))
  end
  out.line("%s: %s applied, %s pending in %s", answer.target, out.thousands(answer.applied), out.thousands(answer.pending), answer.folder)
  if answer.lock then out.line("being run, or open: %s", answer.lock.owner) end
  for _, problem in ipairs(answer.problems) do out.error(problem.message) end
end

function status.run(options, arguments)
  local migrations, err = place.find(options, arguments[1])
  if not migrations then return place.fail(options, err) end
  local answer
  answer, err = migrations:status()
  if not answer then return place.fail(options, err) end
  if options.json then return place.json(answer, #answer.problems > 0 and 1 or 0) end
  print_status(answer)
  return #answer.problems > 0 and 1 or 0
end

return status
