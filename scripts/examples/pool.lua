-- A pool: tasks that want a connection each, a few connections for all of them.
--
--   iu run pool.lua [TARGET]        TARGET: memory: (default), a file, or ws://host:port/database

local iu = require "inner_universe"
local manager <close> = assert(iu.open(... or "memory:", { plugins = { pool = { min = 1, max = 2 } } }))
local pool = manager.pool

-- `with` lends a connection to a function, and takes it back whatever the function does. Who comes when all are lent waits in turn.
local at_once, most = 0, 0
iu.run(function()
  for n = 1, 5 do
    iu.spawn(function()
      assert(pool:with(function(conn)
        at_once = at_once + 1
        most = math.max(most, at_once)
        assert(conn:call("create_entity", "Visitor", { tags = {}, properties = "{}" }, "visitor " .. n))
        iu.sleep(0.01)
        at_once = at_once - 1
        return true
      end))
    end)
  end
end)
print(("most at once: %d of %d"):format(most, pool:statistics().max))

-- A lease of one's own is given back by `release`, or by `<close>` at the end of a block. Nobody waits for ever.
do
  local first <close> = assert(pool:acquire()) -- luacheck: ignore 211
  local second <close> = assert(pool:acquire()) -- luacheck: ignore 211
  local third, err = pool:acquire { timeout = 0.05 }
  print("nothing came free: " .. (third and "?" or err.kind))
end

-- A task that dies with a lease gives it back, too.
iu.run(function()
  local lease
  local task = iu.spawn(function()
    lease = assert(pool:acquire())
    iu.sleep(60)
  end)
  while not lease do iu.sleep(0.001) end
  task:cancel()
  print("a task that died has given back: " .. tostring(lease:is_released()))
end)

local numbers = pool:statistics()
print(("leases: %d, given back: %d, ended with a task: %d"):format(numbers.acquired, numbers.released, numbers.ended_with_task))
