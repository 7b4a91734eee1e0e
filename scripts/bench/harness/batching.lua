-- Creates of many tasks, batched or one call each, in a file with `full` durability or on a server of its own: what two jobs share.
local iu = require "inner_universe"
local world = require "harness.world"

local TASKS = 500
local MODULE = "build/inner_universe.wasm"

local batching = {}

-- Seconds; every entity must be there.
local function creates(manager, count, batched)
  local writer = batched and manager.batch or manager
  local seconds = world.seconds(function()
    iu.run(function()
      for task = 1, TASKS do
        iu.spawn(function()
          for i = 1, count // TASKS do assert(writer:create_entity("Item", world.metadata(task * 1000 + i))) end
        end)
      end
    end)
  end)
  assert(#assert(manager.client:query("SELECT * FROM entity")) == count // TASKS * TASKS, "entities are missing")
  assert(manager:shutdown())
  return seconds
end

function batching.file(folder, count, batched)
  local config = { db_path = folder .. "/bench.universe", durability = "full", log_level = "error", plugins = { batch = batched } }
  return creates(assert(iu.open(config)), count, batched)
end

--- The server's program, where there is one and the module is built.
function batching.server_program()
  local file = io.open(MODULE)
  if not file then return nil end
  file:close()
  local program = os.getenv("SPACETIMEDB_SERVER")
  if program and program ~= "" then return program end
  local pipe = assert(io.popen("scripts/install-spacetimedb path 2>/dev/null"))
  program = pipe:read("l")
  return pipe:close() and program or nil
end

function batching.server(_, count, batched)
  package.path = package.path .. ";./tests/lua/?.lua"
  local spacetimedb = require "spacetimedb"
  local server <close> = spacetimedb.start { program = batching.server_program() }
  local token = assert(spacetimedb.publish("bench", MODULE, nil, server))
  return creates(assert(iu.open(server.address .. "/bench", { token = token, log_level = "error", plugins = { batch = batched } })), count, batched)
end

return batching
