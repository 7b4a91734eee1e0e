-- Benchmark of an embedded universe: create rates, open time, bytes per row. From the top folder, after `make`:
--
--   scripts/iu run scripts/bench/universe.lua [ROWS]        (default 1,000,000; `make bench BENCH=universe ROWS=100000`)
--
-- Everything is created one call at a time, as a script would. Times are wall clock. "rows" counts entities and the rows of the audit
-- log, which doubles the work while it is on (the default); the file of ROWS entities is made with the audit log off. Opening is
-- measured in a fresh process, its memory as that process's resident set before and after.

local iu = require "inner_universe"

local SELF = "scripts/bench/universe.lua"
local RATE_ROWS = 200000 -- calls per rate in memory and with `normal` durability
local FULL_ROWS = 1000 -- calls per rate with `full`: each waits for the disk

local function seconds_of(fn)
  local started = iu.now()
  fn()
  return (iu.now() - started) / 1e6
end

local function line(what, ...)
  print(("  %-52s %s"):format(what, string.format(...)))
end

local function thousands(n)
  local text = ("%d"):format(math.floor(n + 0.5))
  return (text:reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", ""))
end

local function rate(what, count, fn)
  local seconds = seconds_of(fn)
  line(what, "%12s a second   (%s in %.2f s)", thousands(count / seconds), thousands(count), seconds)
end

local function resident_bytes()
  local file = assert(io.open("/proc/self/statm"))
  local _, pages = file:read("n", "n")
  file:close()
  return pages * 4096
end

local function file_bytes(path)
  local file = io.open(path, "rb")
  if not file then return 0 end
  local size = file:seek("end")
  file:close()
  return size
end

local function open(path, durability, audit)
  return assert(iu.open{ db_path = path, durability = durability, log_level = "error", features = { enable_audit_log = audit } })
end

local function create_entities(manager, count)
  for i = 1, count do
    assert(manager:create_entity("Item", { name = "item " .. i, tags = { "bench" }, properties = { number = i, weight = i / 2 } }))
  end
end

local function measure_rates(folder)
  print("Rates, from Lua, one call each:")
  for _, case in ipairs({ { "memory:", "normal", "memory" }, { folder .. "/normal.universe", "normal", "file, normal" } }) do
    for _, audit in ipairs({ true, false }) do
      local manager = open(case[1] == "memory:" and case[1] or case[1] .. tostring(audit), case[2], audit)
      rate(("create_entity, %s, audit log %s"):format(case[3], audit and "on" or "off"), RATE_ROWS, function()
        create_entities(manager, RATE_ROWS)
      end)
      assert(manager:shutdown())
    end
  end
  local manager = open(folder .. "/full.universe", "full", false)
  rate("create_entity, file, full, one after the other", FULL_ROWS, function()
    create_entities(manager, FULL_ROWS)
  end)
  assert(manager:shutdown())
end

local function measure_reads()
  local manager = open("memory:", "normal", false)
  local ids = {}
  for i = 1, RATE_ROWS do
    ids[i] = assert(manager:create_entity("Item", { properties = { number = i } }))
  end
  rate("get_entity, memory", RATE_ROWS, function()
    for i = 1, RATE_ROWS do
      assert(manager:get_entity(ids[i]))
    end
  end)
  rate("create_relation, memory, audit log off", RATE_ROWS - 1, function()
    for i = 2, RATE_ROWS do
      assert(manager:create_relation(ids[i - 1], ids[i], "NEXT"))
    end
  end)
  rate("publish_event, memory", RATE_ROWS, function()
    for i = 1, RATE_ROWS do
      assert(manager:publish_event("TICK", { number = i }, "bench"))
    end
  end)
  local found
  local seconds = seconds_of(function()
    found = assert(manager:query_entities{ entity_type = "Item", order_by = "created_at", descending = true, limit = 10,
      filters = { { field = "properties.number", operator = "GreaterThan", value = RATE_ROWS // 2 } } })
  end)
  assert(#found == 10)
  line("query by property, order and limit", "%12.1f ms   (%s rows looked at)", seconds * 1000, thousands(RATE_ROWS))
  assert(manager:shutdown())
end

local function measure_file(folder, rows)
  print(("A universe of %s entities (file, normal, audit log off):"):format(thousands(rows)))
  local path = folder .. "/large.universe"
  local manager = open(path, "normal", false)
  rate("create_entity", rows, function()
    create_entities(manager, rows)
  end)
  line("flush", "%12.2f s", seconds_of(function() assert(manager:flush()) end))
  line("close (with the last fold)", "%12.2f s", seconds_of(function() assert(manager:shutdown()) end))
  line("bytes per row on disk", "%12.0f", file_bytes(path) / rows)
  assert(os.execute(("scripts/iu run %s --open '%s' %d"):format(SELF, path, rows)))
end

-- In a process of its own: what opening costs.
local function measure_open(path, rows)
  local before = resident_bytes()
  local manager
  local seconds = seconds_of(function()
    manager = open(path, "normal", false)
  end)
  line("open in a fresh process", "%12.2f s   (%s rows a second)", seconds, thousands(rows / seconds))
  line("bytes per row in memory, indexes included", "%12.0f", (resident_bytes() - before) / rows)
  assert(manager:shutdown())
end

local function main(args)
  if args[1] == "--open" then return measure_open(args[2], tonumber(args[3])) end
  local rows = tonumber(args[1] or 1000000)
  if not rows or rows < 1 then error("ROWS must be a positive number, got " .. tostring(args[1]), 0) end
  local folder = assert(assert(io.popen("mktemp -d")):read("l"), "no temporary folder")
  local ok, message = xpcall(function()
    measure_rates(folder)
    measure_reads()
    measure_file(folder, math.floor(rows))
  end, debug.traceback)
  os.execute("rm -rf '" .. folder .. "'")
  if not ok then error(message, 0) end
end

main({ ... })
