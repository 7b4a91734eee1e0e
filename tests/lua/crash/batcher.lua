-- The process that crash_batch_spec kills.  lua5.4 batcher.lua PATH FOLD_BYTES ROUND SEED
--
-- Many tasks write through the batch plugin without end, some of it refused, each batch on disk before its members are answered. Tells on standard output,
-- unbuffered, what it is about to do and what has been acknowledged: `> WORKER OPERATION ID N` before each write, `< WORKER` after it has returned.

local iu = require "inner_universe"
local core = require "inner_universe.core"
local content = require "crash.content"

local PATH, FOLD_BYTES, ROUND, SEED = table.unpack(arg, 1, 4)
local WORKERS = 24

io.stdout:setvbuf("no")
math.randomseed(math.tointeger(SEED))

local function say(...)
  io.stdout:write(table.concat({ ... }, " ") .. "\n") -- one write
end

-- The manager's configuration has no key for it.
local open = core.open
function core.open(options)
  options.fold_bytes = math.tointeger(FOLD_BYTES)
  return open(options)
end

local m = assert(iu.open(PATH, { durability = "full", log_level = "error", plugins = { batch = { max_batch_size = 10, max_wait_ms = 2 } } }))
say("opened")

local counter = 0
local function new_number()
  counter = counter + 1
  return math.tointeger(ROUND) * 1000000 + counter
end

local function metadata(n)
  return { name = tostring(n), properties = content.entity(n).properties }
end

-- Things of one's own, so that what a worker did last is known even when others go on.
local function work(worker)
  local mine = {}
  while true do
    local dice, n = math.random(10), new_number()
    local id = ("e-%d"):format(n)
    if dice <= 5 and #mine > 0 then
      id = mine[math.random(#mine)]
      say(">", worker, "update", id, n)
      assert(m.batch:update_entity(id, metadata(n)))
    elseif dice == 6 then
      local ok, err = m.batch:update_entity("nobody", {}) -- its batch goes again without it
      assert(ok == nil and err.kind == "EntityNotFoundError")
    elseif dice == 7 then
      say(">", worker, "publish", "-", n)
      assert(m.batch:publish_event("CRASH", { n = n }))
    else
      say(">", worker, "create", id, n)
      assert(m.batch:create_entity("Thing", metadata(n), id))
      mine[#mine + 1] = id
    end
    if dice ~= 6 then say("<", worker) end
  end
end

iu.run(function()
  for worker = 1, WORKERS do iu.spawn(work, worker) end
end)
