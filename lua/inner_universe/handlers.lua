-- Handler lists: functions that hear something. A list is copied when it changes, so emitting walks a snapshot; a handler cancelled
-- meanwhile is skipped. Each handler runs in a pooled task of its own: one that raises is reported, one that waits holds nobody up.

local handlers = {}

---@class inner_universe.Handle
local Handle = { __name = "inner_universe.Handle" }
Handle.__index = Handle

---Ends the handler; again: nothing.
---@return boolean ended false when it had ended before
function Handle:cancel()
  local list = self.list
  if not list then return false end
  self.list, self.fn = nil, nil
  list:drop(self)
  return true
end

---@return boolean
function Handle:is_active()
  return self.list ~= nil
end

Handle.__close = Handle.cancel

---@class inner_universe.Handlers
local List = {}
List.__index = List

---@param call fun(fn: function, ...) runs one handler (tasks.call)
---@param changed? fun(count: integer) hears the number of handlers after each change
---@return inner_universe.Handlers
function handlers.new(call, changed)
  return setmetatable({ call = call, changed = changed, items = {} }, List)
end

---@param fn function
---@return inner_universe.Handle
function List:add(fn)
  local handle = setmetatable({ list = self, fn = fn }, Handle)
  local items = table.move(self.items, 1, #self.items, 1, {})
  items[#items + 1] = handle
  self.items = items
  if self.changed then self.changed(#items) end
  return handle
end

function List:drop(handle)
  local items = {}
  for _, item in ipairs(self.items) do
    if item ~= handle then items[#items + 1] = item end
  end
  self.items = items
  if self.changed then self.changed(#items) end
end

---Runs each handler up to its end or first wait.
function List:emit(...)
  local items = self.items
  local call = self.call
  for i = 1, #items do
    local fn = items[i].fn
    if fn then call(fn, ...) end
  end
end

---@return integer
function List:count()
  return #self.items
end

---Cancels all.
function List:clear()
  for _, item in ipairs(self.items) do
    item.list, item.fn = nil, nil
  end
  self.items = {}
  if self.changed then self.changed(0) end
end

return handlers
