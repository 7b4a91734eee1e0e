-- The jobs' work on Tarantool, from its own Lua: tarantool peers/tarantool.lua WORK FOLDER COUNT prints the seconds. Spaces, indexes and values are those of
-- the universe; memtx, as everybody uses it. Lua 5.1 (LuaJIT).
-- luacheck: globals box
local clock = require("clock")
local fiber = require("fiber")
local uuid = require("uuid")

local work, folder, count = arg[1], arg[2], tonumber(arg[3])

local function configure(wal_mode, more)
  local config = { work_dir = folder, wal_mode = wal_mode, memtx_memory = 4 * 1024 * 1024 * 1024, checkpoint_interval = 0, log = folder .. "/tarantool.log",
    log_level = 3, readahead = 16320 }
  for k, v in pairs(more or {}) do config[k] = v end
  box.cfg(config)
end

local function space(name, format, indexes)
  local made = box.schema.space.create(name, { format = format })
  for _, index in ipairs(indexes) do
    made:create_index(index[1], { type = "tree", unique = index.unique or false, parts = index[2] })
  end
  return made
end

-- Read without an event: another space kept for jobs that read.
local function make_entities()
  return space("entity", { { "id", "string" }, { "entity_type", "string" }, { "created_at", "unsigned" }, { "updated_at", "unsigned" }, { "metadata", "map" } },
    { { "id", { 1, "string" }, unique = true }, { "entity_type", { 2, "string" } }, { "created_at", { 3, "unsigned" } } })
end
local function make_events()
  local head = space("event_head", { { "id", "unsigned" }, { "sequence", "unsigned" }, { "count", "unsigned" }, { "bytes", "unsigned" } },
    { { "id", { 1, "unsigned" }, unique = true } })
  head:insert({ 0, 0, 0, 0 })
  local log = space("event_log", { { "event_id", "string" }, { "sequence", "unsigned" }, { "event_type", "string" }, { "source", "string" },
    { "timestamp", "unsigned" }, { "actor", "string" }, { "data", "map" } },
    { { "event_id", { 1, "string" }, unique = true }, { "sequence", { 2, "unsigned" }, unique = true }, { "event_type", { 3, "string" } },
      { "timestamp", { 5, "unsigned" } } })
  return log, head
end

local ACTOR = "29ece5f6550ed2a403e34ffaaea118450aeb201bfd12fc5c1b6a8b159dafdeca"

local NULL = box.NULL

local function now() return math.floor(clock.realtime() * 1e6) end

local function put_entity(entity, i, at)
  local id = uuid.str()
  entity:insert({ id, "Item", at, at, { name = "item " .. i, tags = { "bench" }, properties = { number = i, weight = i / 2 } } })
  return id
end

local function create(entity, log, head, i)
  local at = now()
  box.begin()
  local id = put_entity(entity, i, at)
  local name = "item " .. i
  local moved = head:update(0, { { "+", 2, 1 }, { "+", 3, 1 }, { "+", 4, 80 + #name } })
  log:insert({ uuid.str(), moved[2], "ENTITY_CREATED", id, at, ACTOR, { entity_id = id, entity_type = "Item", name = name } })
  box.commit()
end

local function timed(fn)
  local started = clock.monotonic()
  fn()
  return clock.monotonic() - started
end

local works = {}

function works.create_tasks()
  local FIBERS = 500
  configure("fsync")
  local entity = make_entities()
  local log, head = make_events()
  return timed(function()
    local done = fiber.channel(FIBERS)
    for task = 1, FIBERS do
      fiber.create(function()
        for i = 1, count / FIBERS do create(entity, log, head, task * 1000 + i) end
        done:put(true)
      end)
    end
    for _ = 1, FIBERS do done:get() end
  end)
end

function works.create_single()
  configure("fsync")
  local entity = make_entities()
  local log, head = make_events()
  return timed(function()
    for i = 1, count do create(entity, log, head, i) end
  end)
end

-- ---- opening ----

local function resident()
  local file = io.open("/proc/self/statm")
  local pages = file:read("*a"):match("^%d+ (%d+)")
  file:close()
  return tonumber(pages) * 4096
end

function works.prepare_open()
  configure("none")
  local entity = make_entities()
  for i = 1, count do put_entity(entity, i, now()) end
  box.snapshot()
  return 1
end

function works.open()
  local before = resident()
  local seconds = timed(function() configure("write") end)
  assert(box.space.entity:len() == count)
  print(("%.6f %.0f"):format(seconds, resident() - before))
end

-- ---- tables of one's own (harness/arena.lua) ----

local function make_players()
  local player = space("player", { { "id", "unsigned" }, { "name", "string" }, { "x", "number" }, { "y", "number" }, { "guild", "string" } },
    { { "id", { 1, "unsigned" }, unique = true }, { "guild", { 5, "string" } } })
  box.begin()
  for i = 1, 10000 do player:insert({ i, "player " .. i, i / 2, i / 4, "guild " .. i % 100 }) end
  box.commit()
  return player
end

function works.insert_small()
  configure("write")
  box.schema.sequence.create("ids")
  local hit = space("hit", { { "id", "unsigned" }, { "player", "unsigned" }, { "power", "unsigned" } }, { { "id", { 1, "unsigned" }, unique = true } })
  hit.index.id:alter({ sequence = "ids" })
  return timed(function()
    for i = 1, count do hit:insert({ NULL, i, i % 100 }) end
  end)
end

function works.insert_bulk()
  configure("write")
  local blob = space("blob", { { "id", "unsigned" }, { "data", "string" } }, { { "id", { 1, "unsigned" }, unique = true } })
  local data = ("x"):rep(88)
  return timed(function()
    box.begin()
    for i = 1, count do blob:insert({ i, data }) end
    box.commit()
  end)
end

function works.update_column()
  configure("write")
  local player = make_players()
  local rounds = count / 10000
  return timed(function()
    for _ = 1, rounds do
      box.begin()
      for id = 1, 10000 do player:update(id, { { "+", 3, 1 } }) end
      box.commit()
    end
  end)
end

-- Two columns of each row are looked at, here and there.
function works.read_point()
  configure("none")
  local player, sum = make_players(), 0
  return timed(function()
    for i = 1, count do
      local row = player:get(i % 10000 + 1)
      sum = sum + row[3] + row[4]
    end
  end)
end

function works.read_range()
  configure("none")
  local player, sum = make_players(), 0
  return timed(function()
    for i = 1, count / 100 do
      local first = i * 37 % 9900 + 1
      for _, row in player:pairs(first, { iterator = "GE" }) do
        if row[1] > first + 99 then break end
        sum = sum + row[3] + row[4]
      end
    end
  end)
end

function works.read_index()
  configure("none")
  local player, sum = make_players(), 0
  return timed(function()
    for i = 1, count / 100 do
      for _, row in player.index.guild:pairs("guild " .. i % 100) do sum = sum + row[3] + row[4] end
    end
  end)
end

local done = assert(works[work], "no such work")()
if done then print(("%.6f"):format(done)) end
os.exit(0)
