-- Room for a bounded number of things, in turn: who comes when there is none waits behind those who came before. `room.new(tasks, limit, options)`.
--
-- `take` and `give` are calls of one holder; what is taken belongs to nobody in particular. Who is cancelled or out of time while waiting has taken nothing,
-- and holds up nobody. One that needs more than the limit is let in alone.
-- Cost: without waiting a comparison and an addition.

local errors = require("inner_universe.errors")
local check = require("inner_universe.check")

local room = {}

---@class inner_universe.Room
---@field used integer taken and not given back
---@field waiting integer who waits for room now
---@field limit integer
local Room = { __name = "inner_universe.Room" }
Room.__index = Room

---@param tasks table the scheduler: waiter()
---@param limit integer
---@param options? { waiting_max?: integer, what?: string } waiting_max: more than so many who wait are an OverloadedError; what: its name in errors
---@return inner_universe.Room
function room.new(tasks, limit, options)
  options = options or {}
  return setmetatable({
    tasks = tasks, limit = limit, waiting_max = options.waiting_max or math.maxinteger, what = options.what or "room",
    used = 0, waiting = 0, queue = {}, first = 1, last = 0,
  }, Room)
end

local function fits(self, count)
  return self.used + count <= self.limit or self.used == 0
end

-- Lets in those whose turn it is. Who does not wait any more is passed over.
local function let_in(self)
  local queue = self.queue
  while self.first <= self.last do
    local entry = queue[self.first]
    if not entry.gone then
      if not fits(self, entry.count) then return end
      self.used = self.used + entry.count
      self.waiting = self.waiting - 1
      entry.granted = true
      entry.waiter:resolve(true)
    end
    queue[self.first] = nil
    self.first = self.first + 1
  end
  self.first, self.last = 1, 0
end

-- Leaves the queue, or what was granted, where the wait did not end with it.
local LEAVE = {
  __close = function(guard)
    local self, entry = guard.room, guard.entry
    if entry.taken then return end
    if entry.granted then
      self:give(entry.count)
    elseif not entry.gone then
      entry.gone = true
      self.waiting = self.waiting - 1
      let_in(self) -- it may have been the one that the others waited for
    end
  end,
}

local function wait(self, count, timeout)
  if self.waiting >= self.waiting_max then
    return nil, errors.new("OverloadedError", ("%s: %d wait already"):format(self.what, self.waiting))
  end
  local entry = { count = count, waiter = self.tasks.waiter(), granted = false, taken = false, gone = false }
  self.last = self.last + 1
  self.queue[self.last] = entry
  self.waiting = self.waiting + 1
  local guard <close> = setmetatable({ room = self, entry = entry }, LEAVE)
  local ok, err = entry.waiter:wait(timeout)
  entry.taken = guard ~= nil and entry.granted
  if ok then return true end
  return nil, err
end

---Takes `count` of the room, waiting in turn where it is not there.
---@param count integer
---@param timeout? number seconds
---@return true? ok
---@return inner_universe.Error? err TimeoutError, OverloadedError (too many wait), what `close` was given
function Room:take(count, timeout)
  if self.closed then return nil, self.closed end
  if self.waiting == 0 and fits(self, count) then
    self.used = self.used + count
    return true
  end
  return wait(self, count, timeout)
end

---The same without waiting: whether it was there.
---@param count integer
---@return boolean
function Room:try(count)
  if self.closed or self.waiting > 0 or not fits(self, count) then return false end
  self.used = self.used + count
  return true
end

---@param count integer
function Room:give(count)
  self.used = self.used - count
  if self.waiting > 0 then let_in(self) end
end

---Ends it: who waits, and whoever comes, is answered `nil, err`.
---@param err inner_universe.Error
function Room:close(err)
  self.closed = err
  for at = self.first, self.last do
    local entry = self.queue[at]
    if not entry.gone then
      entry.gone = true
      self.waiting = self.waiting - 1
      entry.waiter:resolve(nil, err)
    end
  end
  self.queue, self.first, self.last = {}, 1, 0
end

---For plugins: `ctx.room(limit, options)`.
---@param tasks table
---@return fun(limit: integer, options?: table): inner_universe.Room
function room.maker(tasks)
  return function(limit, options)
    check.type(limit, "integer", 1, "room", "limit")
    check.optional(options, "table", 2, "room", "options")
    return (room.new(tasks, limit, options))
  end
end

return room
