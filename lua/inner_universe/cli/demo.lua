-- demo.lua: `iu demo`: a real catalogue travels from Lua to disk and back, and everything about it is proven.
--
-- One process writes (demo_write), a fresh one opens the file and compares it with the source files (demo_check, `iu demo --check FILE
-- --json`, a line of JSON per finding); this file starts both and prints. Exit status 1 when any check fails.

local iu = require("inner_universe")
local catalogues = require("inner_universe.cli.demo_catalogue")
local demo_check = require("inner_universe.cli.demo_check")
local demo_write = require("inner_universe.cli.demo_write")
local out = require("inner_universe.cli.out")
local universe_file = require("inner_universe.cli.universe_file")

local demo = {
  summary = "import the ISO catalogues, prove that they come back, show the rates",
  usage = "[--file FILE] [--data FOLDER]",
  details = [[
Countries, subdivisions, languages, scripts, currencies and former countries of the iso-codes package become entities and relations;
events are counted, the catalogue is versioned before and after an edit. Then a fresh process compares everything with the source files,
and sqlite3 and python3 do so too where they are installed. The universe file is kept, to be asked with `iu query`.]],
  options = {
    file = { value = "FILE", help = "where to write (default: demo.universe in the source tree's build/, or here)" },
    data = { value = "FOLDER", help = "the JSON files of iso-codes (default: where Debian has them)" },
    check = { value = "FILE", help = "only compare a universe that the demo made" },
    json = { help = "with --check: a line of JSON per finding" },
  },
  max = 0,
}

local NOT_COMPARED = { SYSTEM_INITIALIZED = true, CLIENT_CONNECTED = true, CLIENT_DISCONNECTED = true } -- before and after the handler

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- printing -----------------------------------------------------------------------------------------------------------

local function print_check(fields)
  local mark = fields.left_out and "--" or fields.ok and "ok" or "FAIL"
  local detail = fields.detail and (": " .. tostring(fields.detail)) or ""
  out.line("  %-4s %s%s%s", mark, fields.what, detail, fields.left_out and " (left out)" or "")
end

local function print_rates(rates)
  local rows = {}
  for i, rate in ipairs(rates) do
    local per_second = rate.seconds > 0 and rate.count / rate.seconds or 0
    rows[i] = { rate.what, out.thousands(rate.count), ("%.3f"):format(rate.seconds), out.thousands(per_second) }
  end
  out.write(out.table({ "", "count", "seconds", "a second" }, rows, { right = { [2] = true, [3] = true, [4] = true }, indent = "  " }))
end

-- Collects findings: prints checks as they come, keeps rates, counts failures.
local function collector()
  local self = { rates = {}, failures = 0, events = {} }
  function self.report(kind, fields)
    if kind == "rate" then
      self.rates[#self.rates + 1] = fields
    elseif kind == "events" then
      self.events = fields.by_type
    else
      if not fields.ok and not fields.left_out then self.failures = self.failures + 1 end
      print_check(fields)
      io.stdout:flush()
    end
  end
  function self.rate(what, count, seconds)
    self.report("rate", { what = what, count = count, seconds = seconds })
  end
  return self
end

-- the file -----------------------------------------------------------------------------------------------------------

-- In the way of starting over: only what is a universe, and not in use, is removed.
local function clear_place(path)
  local file = io.open(path, "rb")
  if not file then return true end
  file:close()
  local found, wrong = universe_file.find(path)
  if not found then return nil, wrong .. "; --file names another place" end
  local conn, err = iu.connect(path)
  if conn then
    conn:close()
  elseif iu.errors.is(err, "UniverseLockedError") then
    return nil, out.message(err)
  end
  for _, suffix in ipairs({ "", "-wal", "-shm", ".lock" }) do
    os.remove(path .. suffix)
  end
  return true
end

local function default_path(context)
  if not context.tree then return "demo.universe" end
  local here = os.getenv("PWD")
  return (here == context.tree and "build" or context.tree .. "/build") .. "/demo.universe"
end

-- the parts ----------------------------------------------------------------------------------------------------------

local function read_catalogue(given)
  local folder = catalogues.folder(given)
  if not folder then
    return nil, ("%s; on Debian: apt-get install iso-codes"):format(given and "no ISO catalogues in " .. given or "the ISO catalogues are not here")
  end
  local ok, catalogue = pcall(catalogues.read, folder)
  if not ok then return nil, tostring(catalogue) end
  return catalogue
end

local function write(path, catalogue, edited, found)
  local manager <close> = assert(iu.open(path, { log_level = "off" }))
  local seen = demo_write.run(manager, catalogue, edited, found)
  local started = iu.now()
  assert(manager:shutdown())
  found.rate("file closed", 1, (iu.now() - started) / 1e6)
  return seen
end

-- The second half in a process of its own. false when it did not end well or said nothing.
local function check_elsewhere(path, catalogue, context, found)
  local command = ("%s %s demo --check %s --data %s --json"):format(quote(context.lua), quote(context.main), quote(path),
    quote(catalogue.folder))
  local pipe = assert(io.popen(command, "r"))
  local heard = 0
  for line in pipe:lines() do
    local finding = iu.json.decode(line)
    if finding then
      heard = heard + 1
      found.report(finding.kind, finding)
    end
  end
  return pipe:close() == true and heard > 0
end

-- Did the handler and the callback of the first process see exactly what the log and the catalogue say?
local function compare_counts(seen, catalogue, found)
  local right, total = true, 0
  for name, count in pairs(found.events) do
    if not NOT_COMPARED[name] then
      right = right and seen.events[name] == count
      total = total + count
    end
  end
  for name, count in pairs(seen.events) do
    right = right and (found.events[name] == count or NOT_COMPARED[name] == true)
  end
  found.report("check", { what = "the event handler heard each event once", ok = right and total > 0, detail = out.count(total, "event") })
  local wanted = { INSERTED = #catalogue.entity_order, UPDATED = 1, DELETED = 1 }
  found.report("check", { what = "the entity callback heard each change once", ok = catalogues.same(seen.entities, wanted),
    detail = ("%s inserted, %s updated, %s deleted"):format(out.thousands(seen.entities.INSERTED or 0),
      out.thousands(seen.entities.UPDATED or 0), out.thousands(seen.entities.DELETED or 0)) })
end

-- As one types it: quoted only when it must be.
local function typed(path)
  return path:match("^[%w%._/+-]+$") and path or quote(path)
end

local function print_way_on(path, context)
  local iu_command = context.tree and (os.getenv("PWD") == context.tree and "scripts/iu" or context.tree .. "/scripts/iu") or "iu"
  out.line("\nThe universe is %s (%s). Go on with", path, out.bytes(universe_file.size(path)))
  iu_command, path = typed(iu_command), typed(path)
  out.line("  %s info %s", iu_command, path)
  out.line('  %s query %s "SELECT entity_type, count(*) FROM entity GROUP BY 1 ORDER BY 2 DESC"', iu_command, path)
  out.line([[  %s query %s "SELECT json_extract(metadata, '$.name') AS name FROM entity WHERE id LIKE 'country:F%%'"]], iu_command, path)
end

local function check_only(options, catalogue)
  local path, wrong = universe_file.find(options.check)
  if not path then return out.fail("%s", wrong) end
  local found = collector()
  local report = found.report
  if options.json then
    function report(kind, fields)
      fields.kind = kind
      if kind == "check" and not fields.ok and not fields.left_out then found.failures = found.failures + 1 end
      out.line("%s", assert(iu.json.encode(fields)))
      io.stdout:flush()
    end
  end
  demo_check.run(path, catalogue, report)
  return found.failures == 0 and 0 or 1
end

function demo.run(options, _, context)
  local catalogue, wrong = read_catalogue(options.data)
  if not catalogue then return out.fail("%s", wrong) end
  if options.check then return check_only(options, catalogue) end
  local path = options.file or default_path(context)
  if path:match("^%a+:") then return out.fail("%s: the demo wants a file, it opens it again in another process", path) end
  local ok, why = clear_place(path)
  if not ok then return out.fail("%s", why) end

  local found = collector()
  out.line("The ISO catalogues of %s", catalogue.folder)
  for _, source in ipairs(catalogue.sources) do
    out.line("  %6s %s", out.thousands(source.entries), source.what)
  end
  out.line("\nImport into %s", path)
  local seen = write(path, catalogue, catalogues.edit(catalogue), found)
  out.line("\nChecks, in a fresh process")
  local ended_well = check_elsewhere(path, catalogue, context, found)
  compare_counts(seen, catalogue, found)
  out.line("\nRates")
  print_rates(found.rates)
  print_way_on(path, context)
  if found.failures > 0 then return out.fail("%s failed", out.count(found.failures, "check")) end
  if not ended_well then return out.fail("the checking process failed") end
  return 0
end

return demo
