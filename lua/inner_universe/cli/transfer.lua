-- transfer.lua: what `iu copy`, `iu export` and `iu import` share: the plugin that does it, options, progress, tables of what was done.

local iu = require("inner_universe")
local out = require("inner_universe.cli.out")

local transfer = {}

---Options of all three, with those of one.
function transfer.options(own)
  own.module = { value = "FILE", help = "the module in Lua whose tables the universes have" }
  own.json = { help = "the report as one object" }
  return own
end

---The same of those that choose tables.
function transfer.choosing(own)
  own.tables = { value = "NAMES", help = "only these tables, with commas between them" }
  own.except = { value = "NAMES", help = "all tables but these" }
  return transfer.options(own)
end

---What becomes of rows that are there already; nil, and it is said, where two ways are given.
---@return "new"|"merge"|"overwrite"|nil
function transfer.mode(options)
  if options.merge and options.overwrite then
    out.error("--merge and --overwrite are two ways; give one")
    return nil
  end
  return options.merge and "merge" or options.overwrite and "overwrite" or "new"
end

---The list that --tables (--except) is; nil: it was not given.
---@param option "tables"|"except"
function transfer.names(options, option)
  if not options[option] then return nil end
  local names = {}
  for name in options[option]:gmatch("[^,%s]+") do names[#names + 1] = name end
  return names
end

---What iu.connect gets for an end: of a server the token, from `--from-token` (`--to-token`), else from the configuration (INNER_UNIVERSE_TOKEN).
---@param side "from"|"to"
function transfer.end_options(options, target, side)
  if not target:match("^wss?://") then return options.module and { module = options.module } or nil end
  local file = options[side .. "-token"]
  if file then return { token_file = file } end
  local cfg = iu.config()
  if not cfg then return nil end
  return { token = cfg.token, token_file = not cfg.token and cfg.token_file or nil }
end

local function seconds(n)
  if n < 100 then return ("%.0f s"):format(n) end
  if n < 6000 then return ("%.0f min"):format(n / 60) end
  return ("%.1f h"):format(n / 3600)
end

---A function for `progress`: a line on a terminal that is written anew, nothing in a pipe.
function transfer.progress(label)
  local shown_at = -1
  return function(info)
    if not out.is_terminal() or info.seconds == nil or info.seconds - shown_at < 0.2 then return end
    shown_at = info.seconds
    local percent = info.total > 0 and info.rows * 100 // info.total or 100
    out.status(("%s %3d %%  %s of %s  %s/s%s  %s"):format(label, percent, out.thousands(info.rows), out.count(info.total, "row"), out.thousands(info.rate),
      info.left and ("  %s left"):format(seconds(info.left)) or "", info.table))
  end
end

-- What a message says of options, as they are given here.
local WORDS = {
  { 'conflicts = "keep"', "--conflicts keep" }, { 'conflicts = "replace"', "--conflicts replace" }, { 'mode = "merge"', "--merge" },
  { 'mode = "overwrite"', "--overwrite" }, { "restart = true", "--restart" }, { '"overwrite"', "--overwrite" }, { "(except)", "(--except)" },
}

local function in_options(text)
  for _, pair in ipairs(WORDS) do
    text = text:gsub(pair[1]:gsub("%p", "%%%0"), (pair[2]:gsub("%%", "%%%%")))
  end
  return text
end

-- SIGINT, which Lua raises wherever it is: raised, or already an err.
local function is_interrupt(err)
  if type(err) == "table" and err.code == "RAISED" then err = err.message end
  return type(err) == "string" and err:match("interrupted!$") ~= nil
end

---Runs `fn(plugin)`; the exit status.
---@param fn fun(plugin: table): any, any
---@param interrupted string what holds after SIGINT
function transfer.with(fn, interrupted)
  local manager, err = iu.open("memory:", { log_level = "error", plugins = { transfer = true, event_bus = false, temporal_store = false } })
  local plugin
  if manager then plugin, err = manager:plugin("transfer") end
  if not plugin then return out.fail("%s", out.message(err)) end
  local ok, status, why = xpcall(fn, function(raised)
    return type(raised) == "string" and not is_interrupt(raised) and debug.traceback(raised, 2) or raised
  end, plugin)
  if not ok and not is_interrupt(status) then error(status, 0) end
  if not ok then status, why = nil, status end
  out.clear()
  manager:shutdown()
  if is_interrupt(why) then
    out.error("interrupted: " .. interrupted)
    return 130
  end
  if not status then return out.fail("%s", in_options(out.message(why))) end
  return status
end

---Exit status of a copy or import that is done, but for rows that were left out.
transfer.SKIPPED = 3

---The status of a report.
function transfer.status(report)
  return (report.skipped or 0) > 0 and transfer.SKIPPED or 0
end

transfer.GOES_ON = "the same command goes on where it was, unless all had arrived" -- of what writes to a universe

---Prints a report: a line for each table that has rows, and one of the whole.
function transfer.print(report, options, line)
  if options.json then
    out.line("%s", assert(iu.json.encode(report)))
    return
  end
  local names, rows = {}, {}
  for name in pairs(report.tables) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local entry = report.tables[name]
    if entry.rows > 0 then rows[#rows + 1] = { name, out.thousands(entry.rows), (entry.hash or ""):sub(1, 16) } end
  end
  if #rows > 0 then out.write(out.table({ "table", "rows", "hash" }, rows, { right = { [2] = true } })) end
  for _, note in ipairs(transfer.notes(report)) do out.line("%s", note) end
  out.line("%s", line)
end

-- A line for each table that has rows which were left out, or have given way.
local function conflict_notes(report, notes)
  for _, kind in ipairs { "skipped", "replaced" } do
    local names = {}
    for name, entry in pairs(report.tables) do
      if entry[kind] and (report[kind] or 0) > 0 then names[#names + 1] = name end
    end
    table.sort(names)
    for _, name in ipairs(names) do
      local list = report.tables[name][kind]
      notes[#notes + 1] = ("%s: %s: %s: %s"):format(kind, name, out.count(list.count, "row"), list.words)
    end
  end
end

local function unfinished_of(what)
  return type(what.copy) == "string" and what.copy or "a file"
end

---What a report says of tables that are not in it as one might think, a line each.
function transfer.notes(report)
  local notes, whole = {}, {}
  for _, name in ipairs(report.left_out or {}) do notes[#notes + 1] = ("left out: %s (only the owner may read it)"):format(name) end
  for _, name in ipairs(report.events or {}) do
    notes[#notes + 1] = ("nothing to copy: %s (an event table: its rows exist only in their transaction)"):format(name)
  end
  for _, name in ipairs(report.whole or {}) do
    if report.tables[name].rows > 0 then whole[#whole + 1] = name end
  end
  if report.unfinished then
    notes[#notes + 1] = ("not whole: %s is the target of an unfinished copy or import of %s"):format(report.from, unfinished_of(report.unfinished))
  end
  conflict_notes(report, notes)
  if #whole > 0 then notes[#notes + 1] = ("whole, not since: %s (rows there do not say when they changed)"):format(table.concat(whole, ", ")) end
  return notes
end

---"12,345 rows in 3.2 s (4,000/s)"
function transfer.amount(rows, report)
  local took = report.seconds or 0
  return ("%s in %.1f s%s"):format(out.count(rows, "row"), took, took > 0 and (" (%s/s)"):format(out.thousands(rows / took)) or "")
end

---What was written to `to`, when it is done.
function transfer.told(to, rows, report)
  local skipped = (report.skipped or 0) > 0 and (", %s skipped"):format(out.thousands(report.skipped)) or ""
  return ("%s: %s%s%s%s"):format(to, transfer.amount(rows, report), report.resumed and ", went on where it was" or "", skipped,
    report.verified and ", verified" or "")
end

return transfer
