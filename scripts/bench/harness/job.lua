-- A job of `make bench`: the same work by Inner Universe and by peers, in turn, each measurement in a process and a folder of its own.
--
--   local job = require "harness.job"
--   job({ ... }, { name = "create_tasks", what = "text of the table", aim = 3, count = 50000, ours = function(folder, count) ... end,
--                  peers = { tarantool = "create_tasks" } })
--
-- A job file runs itself twice: as the job, and (with --side FOLDER COUNT) as our side of one measurement, which is a function that does the work
-- and returns seconds; what it does before it starts its clock is not measured. A peer's name stands for a program of peers/ (see `commands`), its value
-- for the work that program shall do; it prints its seconds. `commands` has those that only one job knows: functions as in `commands` below, by name.
--
-- `prepare(folder, count)` (for a peer: its work with `prepare_` before it) runs once; then all measurements of the side use its folder.
--
-- `variants` are peers of our own: functions like `ours`, by name, that do the work another way. `floors` are the same, but of what any way of doing the work
-- has to do, and nothing else: they are said, and no aim is about them. `aims` has, by name, the peers whose aim is another one.
--
-- `program` instead of `ours` names a program of harness/ in C that is given folder and count, and prints its seconds.
--
-- Speeds are count / seconds. ratio: our median by the peer's; `aim` is a ratio, `aim_rate` so many a second. The row goes to the terminal and, in
-- place of an earlier one of the name, into build/bench.json.

local iu = require "inner_universe"

local RUNS = tonumber(os.getenv("BENCH_RUNS") or "") or 5
local RESULTS = "build/bench.json"
local LIMIT = 180 -- seconds of one measurement

local function sh(command)
  local pipe = assert(io.popen(command))
  local output = pipe:read("a")
  return pipe:close() and output or nil, output
end

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

-- Each: a command that does `work` of `count` in `folder`, or nil and what is missing.
local commands = {}
function commands.tarantool(work, folder, count)
  if not sh("command -v tarantool") then return nil, "tarantool is not installed" end
  return ("tarantool scripts/bench/peers/tarantool.lua %s %s %d"):format(work, quote(folder), count)
end
local built = {}
local function compiled(folder, name, libraries)
  local program = "build/bench/" .. name
  if built[name] then return program end
  local command = "mkdir -p build/bench && cc -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -o %s scripts/bench/%s/%s.c %s"
  if not sh(command:format(program, folder, name, libraries)) then return nil, name .. ".c does not compile" end
  built[name] = true
  return program
end
function commands.sqlite(work, folder, count)
  local program, why = compiled("peers", "sqlite", "-lsqlite3")
  return program and ("%s %s %s %d"):format(program, work, quote(folder), count), why
end
function commands.redis(work, folder, count)
  if not sh("command -v redis-server") then return nil, "redis-server is not installed" end
  local program, why = compiled("peers", "redis", "")
  return program and ("sh scripts/bench/peers/redis.sh %s %s %s %d"):format(program, work, quote(folder), count), why
end

function commands.node(work, folder, count)
  if not sh("command -v node") then return nil, "node is not installed" end
  return ("node scripts/bench/peers/json.mjs %s %s %d"):format(work, quote(folder), count)
end
function commands.python(work, folder, count)
  if not sh("command -v python3") then return nil, "python3 is not installed" end
  return ("python3 scripts/bench/peers/json_hash.py %s %s %d"):format(work, quote(folder), count)
end

-- Our own side in C: a program of harness/, linked with the library of this tree.
local LIBRARY = "-Icore/include build/libinner_universe.a $(pkg-config --libs libuv libwebsockets sqlite3 openssl libxxhash zlib libbrotlidec) -lm -pthread"
local function our_program(name, folder, count)
  local program, why = compiled("harness", name, LIBRARY)
  return program and ("%s %s %d"):format(program, quote(folder), count), why
end

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

local function thousands(n)
  local text = ("%.0f"):format(n)
  return (text:reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", ""))
end

local function read_results()
  local file = io.open(RESULTS)
  if not file then return {} end
  local text = file:read("a")
  file:close()
  return iu.json.decode(text) or {}
end

local function load_average()
  local file = io.open("/proc/loadavg")
  if not file then return nil end
  local one = file:read("n")
  file:close()
  return one
end

local function write_row(row)
  local results = read_results()
  results.rows = results.rows or iu.array{}
  local at = #results.rows + 1
  for i, other in ipairs(results.rows) do
    if other.name == row.name then at = i end
  end
  results.rows[at] = row
  results.measured_at = os.date("!%Y-%m-%dT%H:%M:%SZ")
  local file = assert(io.open(RESULTS, "w"))
  file:write(iu.json.encode(results), "\n")
  file:close()
end

-- A folder of its own that is gone afterwards, whatever happens (the Makefile removes what an interrupt leaves).
local function in_folder(fn)
  local base = os.getenv("BENCH_FOLDER")
  local folder = assert(sh(base and ("mktemp -d -p %s"):format(quote(base)) or "mktemp -d")):gsub("%s+$", "")
  local ok, result, more = pcall(fn, folder)
  os.execute("rm -rf " .. quote(folder))
  if not ok then error(result, 0) end
  return result, more
end

-- The numbers that a command printed, the first of them its seconds.
local function run_in(folder, command_of)
  local command, why = command_of(folder)
  if not command then return nil, why end
  local output, all = sh(("timeout %d %s 2>%s/stderr"):format(LIMIT, command, quote(folder)))
  local numbers = {}
  for number in (output or ""):gmatch("[%d.e+-]+") do numbers[#numbers + 1] = tonumber(number) end
  if numbers[1] then return numbers end
  local file = io.open(folder .. "/stderr")
  return nil, (((file and file:read("a") or "") .. (all or "")):gsub("%s+$", ""):sub(-300))
end
local function run_once(command_of)
  return in_folder(function(folder) return run_in(folder, command_of) end)
end

-- fn is given, for each side in turn, what runs one measurement of it.
local function with_sides(file, def, fn)
  local sides, prepares = {}, {}
  local function ours(flag)
    return function(folder) return ("scripts/iu run %s --%s %s %d"):format(file, flag, quote(folder), def.count) end
  end
  sides.ours, prepares.ours = ours("side"), ours("prepare")
  if def.program then sides.ours = function(folder) return our_program(def.program, folder, def.count) end end
  local order = { "ours" }
  for peer, work in pairs(def.peers or {}) do
    order[#order + 1] = peer
    local command = def.commands and def.commands[peer] or commands[peer]
    sides[peer] = function(folder) return command(work, folder, def.count) end
    prepares[peer] = function(folder) return command("prepare_" .. work, folder, def.count) end
  end
  for _, list in ipairs{ def.variants or {}, def.floors or {} } do
    for name in pairs(list) do
      order[#order + 1] = name
      sides[name] = ours("variant=" .. name)
    end
  end
  table.sort(order, function(a, b) return (a == "ours" and "" or a) < (b == "ours" and "" or b) end)
  if not def.prepare then return fn(order, function(side) return run_once(sides[side]) end) end
  return in_folder(function(base)
    local refused = {}
    for _, side in ipairs(order) do
      assert(os.execute(("mkdir %s/%s"):format(quote(base), side)))
      local done, why = run_in(base .. "/" .. side, prepares[side])
      refused[side] = not done and why or nil
    end
    return fn(order, function(side)
      if refused[side] then return nil, refused[side] end
      return run_in(base .. "/" .. side, sides[side])
    end)
  end)
end

local function measure_sides(order, run)
  local seconds, missing, details = {}, {}, {}
  for _, side in ipairs(order) do seconds[side] = {} end
  for _ = 1, RUNS do
    for _, side in ipairs(order) do
      if not missing[side] then
        local numbers, why = run(side)
        if not numbers and side == "ours" then error(why, 0) end
        if not numbers then missing[side] = why end
        if numbers then
          table.insert(seconds[side], numbers[1])
          details[side] = numbers
        end
      end
    end
  end
  local medians = {}
  for side, list in pairs(seconds) do
    if #list > 0 and not missing[side] then medians[side] = median(list) end
  end
  return { medians = medians, missing = missing, details = details }
end

local function reached(def, row)
  if def.aim_rate then return row.ours >= def.aim_rate end
  local compared = false
  for side, ratio in pairs(row.ratios) do
    if not (def.floors and def.floors[side]) then
      compared = true
      if ratio < (def.aims and def.aims[side] or def.aim) then return false end
    end
  end
  return compared
end

local function say_speed(def, row, side)
  if def.per == "run" then return ("%.3f s"):format(row.seconds[side]) end
  return thousands(row[side] or row.speeds[side]) .. " " .. (def.unit or "a second")
end

local function report(def, measured)
  local medians, missing, details = measured.medians, measured.missing, measured.details
  local row = { name = def.name, what = def.what, aim = def.aim, aim_rate = def.aim_rate, count = def.count, runs = RUNS,
    per_run = def.per == "run" or nil, load = load_average(),
    ours = def.count / medians.ours, speeds = {}, ratios = {}, seconds = medians, missing = next(missing) and missing or nil }
  for side, s in pairs(medians) do
    row.speeds[side] = def.count / s
    if side ~= "ours" then row.ratios[side] = s / medians.ours end
  end
  if def.extra then row.extra = def.extra(details, row) end
  row.reached = reached(def, row)
  local parts = { say_speed(def, row, "ours") }
  for side in pairs(row.ratios) do
    local floor = def.floors and def.floors[side] and ", the floor" or ""
    parts[#parts + 1] = ("%s %s (%.2fx%s)"):format(side, say_speed(def, row, side), row.ratios[side], floor)
  end
  for side, why in pairs(missing) do parts[#parts + 1] = side .. ": " .. why end
  if row.extra then parts[#parts + 1] = row.extra end
  local aim = def.aim_rate and "aim " .. thousands(def.aim_rate) or ("aim %gx"):format(def.aim)
  for side, other in pairs(def.aims or {}) do aim = aim .. (", of %s %gx"):format(side, other) end
  parts[#parts + 1] = aim .. (row.reached and ", reached" or ", missed")
  print(("  %s\n      %s"):format(def.what, table.concat(parts, "; ")))
  write_row(row)
end

return function(args, def)
  local variant = args[1] and args[1]:match("^%-%-variant=(.+)$")
  if variant then
    print((def.variants and def.variants[variant] or def.floors[variant])(args[2], tonumber(args[3])))
    return
  elseif args[1] == "--side" then
    print(def.ours(args[2], tonumber(args[3])))
    return
  elseif args[1] == "--prepare" then
    def.prepare(args[2], tonumber(args[3]))
    print(1)
    return
  end
  local file = debug.getinfo(2, "S").source:sub(2)
  report(def, with_sides(file, def, measure_sides))
end
