-- How long steps of a frame loop are, with a budget of 2 ms: while 100,000 rows are subscribed, told row by row and unsubscribed, and while subscriptions
-- hear of one commit that changes them all. From the top folder, after `make`:
--
--   scripts/iu run scripts/bench/frames.lua [ROWS]        (default 100,000; `make bench BENCH=frames`)
--
-- Each case counts the steps until all was told. "cpu" is the processor's time of a step, which other programs do not lengthen; "wall" is what a frame
-- would have seen. What a program does itself in a frame (here the call that makes the commit) is not part of a step and has a line of its own.
-- A step that takes more than its budget and a fifth of it is a failure: the job says so and ends with 1. It goes by the processor's time.

local iu = require "inner_universe"

local ROWS = math.tointeger(tonumber(arg and arg[1] or nil) or 100000)
local BUDGET, SLACK = 2.0, 1.2 -- ms
local HALF = ROWS // 2

local function module()
  return assert(iu.module("frames", {
    tables = { unit = { columns = { { "id", "u64" }, { "x", "f32" }, { "name", "string" } }, primary_key = "id", public = true } },
    reducers = {
      fill = function(ctx)
        for id = 1, ROWS do ctx.db.unit:insert { id = id, x = id, name = "unit" } end
      end,
      move = function(ctx)
        for id = 1, ROWS do ctx.db.unit:patch(id, { x = -id }) end
      end,
      clear = function(ctx) ctx.db.unit:delete_where {} end,
    },
  }))
end

local late = 0

local function clock()
  return iu.now() / 1e3, os.clock() * 1e3
end

-- Steps until done() and nothing is left; at most so many.
local function steps(what, done)
  local wall, cpu, rows = {}, {}, 0
  repeat
    local w, c = clock()
    local more = iu.step(BUDGET)
    local w2, c2 = clock()
    wall[#wall + 1], cpu[#cpu + 1] = w2 - w, c2 - c
    rows = rows + 1
    assert(rows < 1000000, what .. ": it never ends")
  until done() and not more
  table.sort(wall)
  table.sort(cpu)
  local function at(list, share) return list[math.max(1, math.ceil(#list * share))] end
  local over = 0
  for _, ms in ipairs(cpu) do over = over + (ms > BUDGET * SLACK and 1 or 0) end
  late = late + over
  print(("  %-62s %5d steps   cpu p99 %6.2f longest %6.2f   wall p50 %5.2f p99 %6.2f longest %6.2f ms   over: %d"):format(what, rows, at(cpu, 0.99), cpu[#cpu],
    at(wall, 0.5), at(wall, 0.99), wall[#wall], over))
end

local function timed(what, fn)
  local w, c = clock()
  fn()
  local w2, c2 = clock()
  print(("  %-62s %5s         cpu                longest %6.2f   wall                       longest %6.2f ms"):format(what, "", c2 - c, w2 - w))
end

-- A subscription comes, hears of a commit that another connection makes, and goes.
local function case(name, queries, rows)
  local conn = assert(iu.connect("memory:", { module = module(), nerv = false, reducer_timeout_ms = 60000 }))
  local session = assert(conn:session())
  local inserted, updated, deleted, applied, ended = 0, 0, 0, 0, 0
  assert(conn:call("fill"))
  session.tables.unit:on_insert(function() inserted = inserted + 1 end)
  session.tables.unit:on_update(function() updated = updated + 1 end)
  session.tables.unit:on_delete(function() deleted = deleted + 1 end)
  iu.step(BUDGET)
  local subs = {}
  timed(name .. ": subscribe", function()
    for i, query in ipairs(queries) do subs[i] = assert(session:subscribe(query, { on_applied = function() applied = applied + 1 end })) end
  end)
  steps(name .. ": is staged, seen and told", function() return applied == #queries and inserted == rows end)
  timed(name .. ": the call that changes every row", function() assert(conn:call("move")) end)
  steps(name .. ": hears of it", function() return updated + deleted == rows end)
  timed(name .. ": the call that deletes every row", function() assert(conn:call("clear")) end)
  steps(name .. ": hears of it", function() return deleted == rows end)
  assert(conn:call("fill"))
  steps(name .. ": hears that they are there again", function() return inserted == 2 * rows end)
  timed(name .. ": unsubscribe", function()
    for _, sub in ipairs(subs) do
      assert(sub:unsubscribe())
      ended = ended + 1
    end
  end)
  steps(name .. ": goes", function() return deleted == 2 * rows end)
  conn:close()
end

print(("Steps of %.0f ms, %d rows:"):format(BUDGET, ROWS))
case("whole table", { "SELECT * FROM unit" }, ROWS)
case("filtered, all rows", { "SELECT * FROM unit WHERE name = 'unit'" }, ROWS)
case("filtered, half of them", { "SELECT * FROM unit WHERE x > " .. HALF, "SELECT * FROM unit WHERE x > " .. HALF .. " AND name = 'unit'" }, ROWS - HALF)
if late > 0 then
  print(("%d steps took over %.1f ms of the processor's time"):format(late, BUDGET * SLACK))
  os.exit(1)
end
