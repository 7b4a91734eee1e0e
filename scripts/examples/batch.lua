-- Batches: many tasks write at once. Their writes go in few transactions, and each task has its own answer.
--
--   iu run batch.lua [TARGET]        TARGET: memory: (default), or a file

local iu = require "inner_universe"
local manager <close> = assert(iu.open(... or "memory:", { plugins = { batch = { max_batch_size = 50, max_wait_ms = 20 } } }))
local batch = manager.batch

-- A hundred tasks. Each waits for its own write, as if it had called the manager; the plugin gathers what comes within 20 ms, 50 writes at most.
local made, refused = 0, nil
iu.run(function()
  for n = 1, 100 do
    iu.spawn(function()
      local id = n == 100 and "sensor 1" or "sensor " .. n -- the last one takes an id that is taken
      local ok, err = batch:create_entity("Sensor", { name = id, properties = { value = 0 } }, id)
      if ok then
        made = made + 1
      else
        refused = err
      end
    end)
  end
end)
print(("%d sensors in %d batches"):format(made, batch:statistics().batches))

-- One that is refused does not fail the others of its batch, and hears what its own call would have said.
print(("refused: %s, %s"):format(refused.kind, refused.message))

-- Writes to one entity are made in the order of the calls. In plain code, outside of tasks, a write is sent at once.
assert(batch:update_entity("sensor 50", { name = "sensor 50", properties = { value = 21.5 } }))
print(("sensor 50 reads %.1f"):format(assert(manager:get_entity("sensor 50")).metadata.properties.value))
