-- The process that crash_batch_spec kills.  lua5.4 batcher.lua PATH FOLD_BYTES ROUND SEED
--
-- Many tasks write through the batch plugin without end, some of it refused, each batch on disk before its members are answered.

local iu = require "inner_universe"
local core = require "inner_universe.core"
local many_tasks = require "crash.many_tasks"

local PATH, FOLD_BYTES, ROUND, SEED = table.unpack(arg, 1, 4)
local WORKERS = 24

io.stdout:setvbuf("no")
math.randomseed(math.tointeger(SEED))

-- The manager's configuration has no key for it.
local open = core.open
function core.open(options)
  options.fold_bytes = math.tointeger(FOLD_BYTES)
  return open(options)
end

local m = assert(iu.open(PATH, { durability = "full", log_level = "error", plugins = { batch = { max_batch_size = 10, max_wait_ms = 2 } } }))
many_tasks.say("opened")
many_tasks.run(m.batch, WORKERS, math.tointeger(ROUND))
