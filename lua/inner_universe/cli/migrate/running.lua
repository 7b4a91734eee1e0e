-- running.lua: `up`, `down` and `redo`: a line of progress with rate and time left on a terminal, Ctrl-C that ends the run at its next checkpoint (a second
-- one at once), the report.

local iu = require("inner_universe")
local out = require("inner_universe.cli.out")
local process = require("inner_universe.process")
local place = require("inner_universe.cli.migrate.place")

local running = {}

local EVERY = 0.2 -- seconds between two looks of the line

---What all three take.
---@param own? table
---@return table
function running.options(own)
  local all = place.options {
    ["dry-run"] = { help = "execute everything, and undo it" },
    module = { value = "FILE", help = "the module in Lua that the file will be opened with: when all is applied the file has to fit it" },
    ["lock-timeout"] = { value = "SECONDS", number = true, help = "how long to wait for another run to end (10)" },
  }
  for name, option in pairs(own or {}) do all[name] = option end
  return all
end

local function seconds_text(seconds)
  if seconds < 90 then return ("%.0f s"):format(seconds) end
  return seconds < 5400 and ("%.0f min"):format(seconds / 60) or ("%.1f h"):format(seconds / 3600)
end

-- A function for the option `progress`.
local function line_of_progress()
  local label, began, first, shown = nil, 0, 0, 0
  return function(event)
    if not out.is_terminal() or not event.total then return end
    local now = iu.now() / 1e6
    local key = event.name .. event.direction .. tostring(event.step)
    if key ~= label then label, began, first = key, now, event.done end
    if now - shown < EVERY and event.done < event.total then return end
    shown = now
    local rate = now > began and (event.done - first) / (now - began) or 0
    local left = rate > 0 and ", " .. seconds_text((event.total - event.done) / rate) .. " left" or ""
    out.status(("%s %s: %s %s of %s (%s a second%s)"):format(event.name, event.direction, event.label or "", out.thousands(event.done),
      out.thousands(event.total), out.thousands(rate), left))
  end
end

local function print_report(report, verb)
  for _, each in ipairs(report.done) do
    local took = each.duration_ms < 1000 and ("%.0f ms"):format(each.duration_ms) or seconds_text(each.duration_ms / 1000)
    out.line("%s %s: %s, %s in %s", each.direction == "up" and "applied" or "took back", each.name, out.count(each.steps, "step"),
      out.count(each.rows, "row"), took)
  end
  if #report.done == 0 then out.line("there is nothing to %s", verb) end
  if report.dry_run and #report.done > 0 then out.line("nothing was changed (--dry-run)") end
end

---Runs one of the runner's methods; the exit status.
---@param name "up"|"down"|"redo"
---@param options table of the command line
---@param target? string
---@param more table options of the method
---@param verb string
---@return integer
function running.run(name, options, target, more, verb)
  local migrations, err = place.find(options, target)
  if not migrations then return place.fail(options, err) end
  local watch = process.watch("INT")
  local stopping = false
  more.dry_run, more.lock_timeout = options["dry-run"], options["lock-timeout"]
  more.progress = line_of_progress()
  function more.stop()
    if not stopping and watch and watch:count() > 0 then
      stopping = true
      out.error("stopping at the next checkpoint; Ctrl-C once more ends it at once")
      watch:close()
    end
    return stopping
  end
  local report, why
  iu.run(function() report, why = migrations[name](migrations, more) end)
  if watch then watch:close() end
  out.clear()
  if not report then
    local done = type(why) == "table" and why.details and why.details.done
    if done and #done > 0 and not options.json then print_report({ done = done }, verb) end
    return place.fail(options, why)
  end
  if options.json then return place.json(report) end
  print_report(report, verb)
  return 0
end

return running
