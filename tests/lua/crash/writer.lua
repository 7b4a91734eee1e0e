-- The process that crash_spec kills.  lua5.4 writer.lua MODE PATH DURABILITY FOLD_BYTES ROUND SEED
--
-- Tells on standard output, unbuffered, what it is about to do and what has been acknowledged: `> WORKER OPERATION...` before each call,
-- `< WORKER VALUE` after it has returned. What stands in the pipe stays when this process is killed.
--
-- manager: several tasks work through the manager; connection: through a bare connection, with transactions of several operations;
-- line: one after another, a `flush` now and then; idle: some, then nothing; close: many, then shutdown; open: opens, says so and closes.

local iu = require "inner_universe"
local core = require "inner_universe.core"
local content = require "crash.content"

local MODE, PATH, DURABILITY, FOLD_BYTES, ROUND, SEED = table.unpack(arg, 1, 6)
local WORKERS = 4
local BATCH = 3 -- entities of a transaction

io.stdout:setvbuf("no")
math.randomseed(math.tointeger(SEED))

local function say(...)
  io.stdout:write(table.concat({ ... }, " ") .. "\n") -- one write
end

iu.on_error(function(err, context)
  say("! " .. tostring(err):gsub("\n", " "), (tostring(context):gsub("\n", " ")))
end)

-- The manager's configuration has no key for it.
local open = core.open
function core.open(options)
  options.fold_bytes = math.tointeger(FOLD_BYTES)
  return open(options)
end

local function manager_world()
  local m = assert(iu.open(PATH, { durability = DURABILITY, log_level = "error" }))
  return {
    create = function(id, n) return m:create_entity("Thing", content.entity(n), id) end,
    update = function(id, n) return m:update_entity(id, content.entity(n)) end,
    delete = function(id) return m:delete_entity(id, { cascade = true }) end,
    relate = function(id, from, to, n) return m:create_relation(from, to, "LINK", content.relation(n), id) end,
    publish = function(n) return m:publish_event("CRASH", content.event(n), "writer") end,
    commit = function(n) return m:commit_version(content.state(n), "state " .. n) end,
    flush = function() return m:flush() end,
    close = function() return m:shutdown() end,
  }
end

local function connection_world()
  local conn = assert(iu.connect(PATH, { durability = DURABILITY }))
  local function metadata(m)
    m.properties = assert(iu.json.encode(m.properties))
    return m
  end
  local world
  world = {
    create = function(id, n) return conn:call("create_entity", "Thing", metadata(content.entity(n)), id) end,
    update = function(id, n) return conn:call("update_entity", id, metadata(content.entity(n))) end,
    delete = function(id) return conn:call("delete_entity", id, true) end,
    relate = function(id, from, to, n) return conn:call("create_relation", from, to, "LINK", metadata(content.relation(n)), id) end,
    publish = function(n)
      local id = iu.uuid()
      local ok, err = conn:call("publish_event", "CRASH", "writer", iu.json.encode(content.event(n)), id)
      return ok and id, err
    end,
    batch = function(ids, n)
      local operations = {}
      for i, id in ipairs(ids) do
        operations[i] = { tag = "CreateEntity", value = { entity_type = "Thing", metadata = metadata(content.entity(n)), id = id } }
      end
      return conn:call("transact", operations)
    end,
    flush = function() return conn:flush() end,
    close = function() return conn:close() end,
  }
  return world
end

local counter = 0
local function new_number()
  counter = counter + 1
  return math.tointeger(ROUND) * 1000000 + counter
end

-- Endless work on things of one's own, so that what a worker did last is known even when others go on.
local function work(world, worker)
  local mine = {}
  local function tell(...)
    say(">", worker, ...)
  end
  local function acknowledged(value)
    say("<", worker, tostring(value))
  end
  while true do
    local dice, n = math.random(100), new_number()
    local id = ("e-%d"):format(n)
    if dice <= 20 and #mine > 0 then
      id = mine[math.random(#mine)]
      tell("update", id, n)
      acknowledged(assert(world.update(id, n)))
    elseif dice <= 35 and #mine > 1 then
      local from, to = mine[math.random(#mine)], mine[math.random(#mine)]
      tell("relate", "r-" .. n, from, to, n)
      acknowledged(assert(world.relate("r-" .. n, from, to, n)))
    elseif dice <= 45 and #mine > 0 then
      id = table.remove(mine, math.random(#mine))
      tell("delete", id)
      acknowledged(assert(world.delete(id)))
    elseif dice <= 55 then
      tell("publish", n)
      acknowledged(assert(world.publish(n)))
    elseif dice <= 60 and world.commit and worker == 1 then
      tell("commit", n)
      acknowledged(assert(world.commit(n)))
    elseif dice <= 70 and world.batch then
      local ids = {}
      for i = 1, BATCH do ids[i] = ("e-%d-%d"):format(n, i) end
      tell("batch", n, table.unpack(ids))
      acknowledged(assert(world.batch(ids, n)))
      table.move(ids, 1, #ids, #mine + 1, mine)
    else
      tell("create", id, n)
      acknowledged(assert(world.create(id, n)))
      mine[#mine + 1] = id
    end
  end
end

local function create_line(world, count)
  for _ = 1, count do
    local n = new_number()
    say(">", 1, "create", "e-" .. n, n)
    assert(world.create("e-" .. n, n))
    say("<", 1, "true")
  end
end

local modes = {}

function modes.manager()
  local world = manager_world()
  say("opened")
  iu.run(function()
    for worker = 1, WORKERS do iu.spawn(work, world, worker) end
  end)
end

function modes.connection()
  local world = connection_world()
  say("opened")
  iu.run(function()
    for worker = 1, WORKERS do iu.spawn(work, world, worker) end
  end)
end

function modes.line()
  local world = manager_world()
  say("opened")
  while true do
    create_line(world, math.random(300))
    if math.random(4) == 1 then
      assert(world.flush())
      say("flushed")
    end
  end
end

function modes.idle()
  local world = manager_world()
  create_line(world, 200)
  iu.sleep(2) -- a hundred times the flush interval
  say("idle")
  iu.sleep(60)
end

function modes.close()
  local world = manager_world()
  create_line(world, 500 + math.random(1500))
  assert(world.flush())
  say("flushed")
  assert(world.close())
  say("closed")
end

function modes.open()
  local world = manager_world()
  say("opened")
  assert(world.close())
  say("closed")
end

modes[MODE]()
