-- writes.lua: who wants to hear now and then that the manager writes: upkeep that must not cost every write something, and has no loop to rely on.
--
-- `note` costs an addition and a comparison. What it calls runs inside of the user's call, so it is short, raises nothing, and waits only where it may.

local writes = {}

local count, due = 0, math.huge
local listeners = {} -- { every, due, fn }

local function look()
  due = math.huge
  for _, each in ipairs(table.move(listeners, 1, #listeners, 1, {})) do
    if count >= each.due then
      each.due = count + each.every
      each.fn()
    end
  end
  for _, each in ipairs(listeners) do due = math.min(due, each.due) end
end

--- So many writes are made.
function writes.note(n)
  count = count + n
  if count >= due then look() end
end

--- fn() after each so many writes of the manager, its client and its transactions, for the first time after `first`; a function that ends it.
---@param every integer
---@param fn fun() must not raise
---@param first? integer
---@return fun() stop
function writes.every(every, fn, first)
  local listener = { every = every, due = count + (first or every), fn = fn }
  listeners[#listeners + 1] = listener
  due = math.min(due, listener.due)
  return function()
    for i, each in ipairs(listeners) do
      if each == listener then return table.remove(listeners, i) end
    end
  end
end

return writes
