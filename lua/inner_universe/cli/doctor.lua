-- doctor.lua: `iu doctor [--config FILE] [FILE]`: is everything here that is needed, and does it work? With FILE also: is that universe file whole?
-- Lines begin with ok, note (something optional is missing) or BAD; exit status 1 when one is BAD.

local iu = require("inner_universe")
local out = require("inner_universe.cli.out")
local universe_file = require("inner_universe.cli.universe_file")

local doctor = {
  summary = "is everything here that is needed, and does it work?",
  usage = "[--config FILE] [FILE]",
  details = [[
Checks the interpreter, the modules, the plugins, a universe in memory and one in a temporary file, and what the demo uses. The plugins are those
of the configuration, started on a universe in memory; each says how it is. With FILE, that universe file too; it only reads.]],
  options = { config = { value = "FILE", help = "a configuration, .json or .lua (default: the environment's)" } },
  max = 1,
}

local function reporter()
  local report = { bad = 0 }
  local function line(mark, format, ...)
    out.line("%-4s  %s", mark, format:format(...))
  end
  function report.ok(...) line("ok", ...) end
  function report.note(...) line("note", ...) end
  function report.fail(...)
    report.bad = report.bad + 1
    line("BAD", ...)
  end
  return report
end

local function first_line(command)
  local pipe = io.popen(command .. " 2>/dev/null </dev/null")
  local text = pipe and pipe:read("l")
  if pipe then pipe:close() end
  return text
end

local function check_modules(report, context)
  report.ok("%s, %s", _VERSION, context.lua or "unknown interpreter")
  report.ok("inner_universe %s, %s", iu._VERSION, package.searchpath("inner_universe", package.path) or "not found by its path")
  report.ok("its core, %s", package.searchpath("inner_universe.core", package.cpath) or "not found by its path")
end

-- One round trip: what goes in comes out, through every default plugin.
local function round_trip(target)
  local manager <close> = assert(iu.open(target, { log_level = "off" }))
  local properties = { whole = math.maxinteger, float = 1.0, none = iu.null, list = iu.array({}) }
  local id = assert(manager:create_entity("Probe", { name = "probe", properties = properties }))
  local found = assert(manager:get_entity(id))
  assert(iu.json.canonical(found.metadata.properties) == iu.json.canonical(properties), "properties came back changed")
  assert(manager:publish_event("PROBE", {}, "doctor"))
  assert(manager:commit_version({ probe = id }, "probe"))
  assert(manager:shutdown())
end

local function check_universes(report)
  local folder = first_line("mktemp -d")
  local targets = { { "memory:", "a universe in memory" } }
  if folder then targets[2] = { folder .. "/probe.universe", "a universe file in " .. folder } end
  for _, case in ipairs(targets) do
    local ok, err = pcall(round_trip, case[1])
    if ok then
      report.ok("%s works", case[2])
    else
      report.fail("%s: %s", case[2], out.message(err))
    end
  end
  if not folder then return report.fail("no temporary folder can be made") end
  os.execute(("rm -rf '%s'"):format(folder))
end

-- Facts of a plugin's health, as text: scalars by name.
local function facts_of(details)
  local parts = {}
  for key, value in pairs(type(details) == "table" and details or {}) do
    if type(value) ~= "table" and type(value) ~= "function" then parts[#parts + 1] = ("%s %s"):format(tostring(key), tostring(value)) end
  end
  table.sort(parts)
  return #parts > 0 and ": " .. table.concat(parts, ", ") or ""
end

local function check_health(report, row, object)
  local health = type(object) == "table" and object.health
  local ok, well, facts = true, true, nil
  if health then ok, well, facts = pcall(health, object) end
  if ok and well == true then return report.ok("plugin %s %s%s", row.name, row.version, facts_of(facts)) end
  report.fail("plugin %s %s is not well: %s", row.name, row.version, out.message(ok and (facts or "it does not say why") or well))
end

local function plugins_of(file)
  local config, err = iu.config(file)
  if not config then return nil, err end
  return config:to_table().plugins
end

local function check_plugins(report, file)
  local plugins, manager, err
  plugins, err = plugins_of(file)
  if plugins then manager, err = iu.open("memory:", { log_level = "off", plugins = plugins }) end
  if not manager then return report.fail("plugins: %s", out.message(err)) end
  for _, row in ipairs(manager:status().plugins) do
    if row.state == "started" then
      check_health(report, row, (manager:plugin(row.name)))
    elseif row.state == "left out" then
      report.note("plugin %s is left out", row.name)
    else
      report.fail("plugin %s is %s: %s", row.name, row.state, row.reason or "no reason given")
    end
  end
  manager:shutdown()
end

local function check_tools(report)
  for _, tool in ipairs({
    { "sqlite3", "sqlite3 --version", "the demo's second opinion on the file" },
    { "python3", "python3 --version", "the demo's second opinion on hashes" },
  }) do
    local version = first_line(tool[2])
    if version then
      report.ok("%s %s", tool[1], version:match("[%d.]+") or version)
    else
      report.note("no %s: it is only %s", tool[1], tool[3])
    end
  end
  local folder = require("inner_universe.cli.demo_catalogue").folder()
  if folder then
    report.ok("iso-codes, %s", folder)
  else
    report.note("no iso-codes: `iu demo` wants it (on Debian: apt-get install iso-codes)")
  end
end

local function check_file(report, target)
  local path, wrong = universe_file.find(target)
  if not path then return report.fail("%s", wrong) end
  local holder = universe_file.holder(path)
  if holder then
    report.note("%s is open in process %d", path, holder)
  elseif universe_file.is_settled(path) then
    report.ok("%s was closed properly", path)
  else
    report.note("%s was not closed properly; the next open brings it in order", path)
  end
  local result, err = universe_file.sql(path, "PRAGMA integrity_check")
  if not result then return report.fail("%s: %s", path, out.message(err)) end
  local verdict = result.rows[1] and result.rows[1][1]
  if verdict ~= "ok" then return report.fail("%s: %s", path, tostring(verdict)) end
  report.ok("%s is a whole SQLite database, format %d", path, universe_file.value(path, "PRAGMA user_version"))
end

function doctor.run(options, arguments, context)
  local report = reporter()
  check_modules(report, context)
  check_plugins(report, options.config)
  check_universes(report)
  check_tools(report)
  if arguments[1] then check_file(report, arguments[1]) end
  if report.bad > 0 then return out.fail("%s", out.count(report.bad, "problem")) end
  return 0
end

return doctor
