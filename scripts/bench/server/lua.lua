-- lua.lua: the same measurements as bare.c and sdk.mjs, made with `iu.connect`. One measurement per process:
--
--   scripts/iu run scripts/bench/server/lua.lua PORT DATABASE v1|v2|v3 calls COUNT IN_FLIGHT FIRST    prints calls a second
--   scripts/iu run scripts/bench/server/lua.lua PORT DATABASE v1|v2|v3 rows                           prints milliseconds until the rows are
--       applied and their callbacks have run, rows, the growth of the process in MB, and bytes per cached row
--   scripts/iu run scripts/bench/server/lua.lua PORT DATABASE v1|v2|v3 tables                         prints milliseconds that a bare C loop takes to make
--       as many such tables, and to call the same callback with each: the floor of `rows`
--   scripts/iu run scripts/bench/server/lua.lua PORT DATABASE v1|v2|v3 frames BUDGET                  the same in frames of 60 a second: prints the
--       longest and the median `iu.step(BUDGET)` in ms, frames, rows, and the longest in ms of this process's own time (the server has a processor, too)

local iu = require "inner_universe"
local core = require "inner_universe.core"

local port, database, protocol, what = arg[1], arg[2], arg[3], arg[4]

local function resident_bytes()
  local file = assert(io.open("/proc/self/statm"))
  local _, pages = file:read("n", "n")
  file:close()
  return pages * 4096
end

local conn = assert(iu.connect(("ws://127.0.0.1:%s/%s"):format(port, database),
  { protocol = protocol, compression = "none", timeout = 300 }))

local function calls(count, in_flight, first)
  local sent = 0
  local started = core.mono()
  iu.run(function()
    for _ = 1, in_flight do
      iu.spawn(function()
        while sent < count do
          sent = sent + 1
          assert(conn:call("add", first + sent - 1))
        end
      end)
    end
  end)
  print(("%.0f"):format(count / (core.mono() - started)))
end

local function rows()
  local seen, largest = 0, -1
  conn.tables.item:on_insert(function(row)
    seen = seen + 1
    if row.id > largest then largest = row.id end
  end)
  collectgarbage()
  local memory = resident_bytes()
  local started = core.mono()
  local sub = assert(conn:subscribe("SELECT * FROM item"))
  assert(sub:wait())
  local seconds = core.mono() - started
  assert(seen == conn.tables.item:count() and largest >= 0, "a row was not told")
  collectgarbage()
  local status = conn:status()
  print(("%.1f %d %.0f %.1f"):format(seconds * 1e3, seen, (resident_bytes() - memory) / 1e6,
    (status.row_bytes + status.overhead_bytes) / math.max(1, status.rows)))
end

local function tables()
  package.path = package.path .. ";./scripts/bench/?.lua"
  local bare = require "harness.bare"()
  local seen, largest = 0, -1
  local function callback(row)
    seen = seen + 1
    if row.id > largest then largest = row.id end
  end
  collectgarbage()
  local started = core.mono()
  bare.rows(200000, callback)
  print(("%.1f"):format((core.mono() - started) * 1e3))
  assert(seen == 200000)
end

local function frames(budget)
  local seen, applied, spent, longest = 0, false, {}, 0
  conn.tables.item:on_insert(function() seen = seen + 1 end)
  assert(conn:subscribe("SELECT * FROM item", { on_applied = function() applied = true end }))
  while not applied do
    local started, own = core.mono(), os.clock()
    iu.step(budget)
    spent[#spent + 1] = (core.mono() - started) * 1e3
    longest = math.max(longest, (os.clock() - own) * 1e3)
    local rest = 1 / 60 - (core.mono() - started)
    if rest > 0 then os.execute(("sleep %.4f"):format(rest)) end -- what a game draws meanwhile
  end
  assert(seen == conn.tables.item:count(), "a row was not told")
  table.sort(spent)
  print(("%.2f %.2f %d %d %.2f"):format(spent[#spent], spent[(#spent + 1) // 2], #spent, seen, longest))
end

if what == "frames" then
  frames(assert(tonumber(arg[5])))
elseif what == "calls" then
  calls(math.tointeger(arg[5]), math.tointeger(arg[6]), math.tointeger(arg[7]))
elseif what == "tables" then
  tables()
else
  rows()
end
assert(conn:close())
