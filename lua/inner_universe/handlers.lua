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

-- Telling rows ------------------------------------------------------------------------------------------------------

-- A job of `relay`: calls the handlers of row after row until there is none. It is suspended where a handler waits; another one goes on then, with the
-- row's other handlers first, and this one ends when the handler has.
local function tell(run, turn)
  run.began = true
  local next, event, lists = run.next, run.event, run.lists
  local items, kind, row, old = run.items, run.kind, run.row, run.old
  while true do
    while items do
      local item = items[run.at]
      run.at = run.at + 1
      if not item then
        items, run.items, run.row, run.old = nil, nil, nil, nil
      elseif item.fn then
        if kind == "update" then
          item.fn(row, old, event)
        else
          item.fn(row, event)
        end
        if run.turn ~= turn then return end
      end
    end
    local name
    name, kind, row, old = next()
    while name do
      local by_kind = lists[name]
      local list = by_kind and by_kind[kind]
      if kind == "delete" then row = old end
      items = list and list.items
      local fn = items and #items == 1 and items[1].fn
      if not fn then break end
      items = nil
      if kind == "update" then
        fn(row, old, event)
      else
        fn(row, event)
      end
      if run.turn ~= turn then return end
      name, kind, row, old = next(fn, event) -- the core calls it for the rows that are like this one
      if run.turn ~= turn then return end
    end
    if not name then
      run.over = true
      return
    end
    if items then
      run.items, run.at, run.kind, run.row, run.old = items, 1, kind, row, old
    end
  end
end

---Calls the handlers of rows, each up to its end or first wait.
---@param relay fun(run: table, job: function, skip: function) tasks.relay
---@param lists table<string, table<string, inner_universe.Handlers>> by table, then by kind
---@param next fun(fn?: function, event?: table): string?, string, table?, table? the core's: table, kind, new row, old row
---@param event table
function handlers.tell(relay, lists, next, event)
  local run = { lists = lists, next = next, event = event }
  relay(run, tell, function()
    run.over = next() == nil
  end)
end

return handlers
