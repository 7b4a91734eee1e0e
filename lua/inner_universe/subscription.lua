-- Subscriptions of a connection: their handles, and what the core says about them. An event may come before the core's `subscribe` has
-- returned its id; it is kept until the handle is made.

local runtime = require("inner_universe.runtime")
local errors = require("inner_universe.errors")
local check = require("inner_universe.check")

local subscription = {}
local tasks = runtime.tasks

---@class inner_universe.Subscription
local Subscription = { __name = "inner_universe.Subscription" }
Subscription.__index = Subscription

local function ended_error()
  return errors.new("ConnectionError", "the subscription has ended", { code = "CLOSED", retryable = false })
end

local function on_event(self, what, err)
  local state = self.inner.state
  if what == "applied" then
    self.applied = true
    self.answer:resolve(true)
    if self.on_applied then tasks.call(self.on_applied, self) end
    return
  end
  self.ended = true
  state.subscriptions[self.id] = nil
  self.answer:resolve(nil, err or ended_error())
  if what == "failed" and err then
    if self.on_error then
      tasks.call(self.on_error, err)
    else
      runtime.report(err, "a subscription")
    end
  end
end

---@param inner table of the connection
---@param id any the core's
---@param options { on_applied?: function, on_error?: function }
---@return inner_universe.Subscription
function subscription.new(inner, id, options)
  local self = setmetatable({
    inner = inner,
    id = id,
    on_applied = options.on_applied,
    on_error = options.on_error,
    answer = tasks.waiter(),
    applied = false,
    ended = false,
  }, Subscription)
  local state = inner.state
  state.subscriptions[id] = self
  local early = state.early_subscriptions[id]
  if early then
    state.early_subscriptions[id] = nil
    for _, event in ipairs(early) do
      on_event(self, event.what, event.err)
    end
  end
  return self
end

---What the core's listener calls.
function subscription.deliver(state, id, what, err)
  local self = state.subscriptions[id]
  if self then return on_event(self, what, err) end
  if what == "ended" then return end
  local early = state.early_subscriptions[id] or {}
  early[#early + 1] = { what = what, err = err }
  state.early_subscriptions[id] = early
end

---All end with their connection; err (may be nil) goes to who waits.
function subscription.end_all(state, err)
  for id, self in pairs(state.subscriptions) do
    state.subscriptions[id] = nil
    self.ended = true
    self.answer:resolve(nil, err or ended_error())
  end
end

---Who waits for it waits no longer.
function subscription.give_up(self, err)
  self.answer:resolve(nil, err)
end

---Ends the subscription; rows that no other one holds are deleted from the view (their handlers hear it). Again: nothing.
---@return true?, inner_universe.Error?
function Subscription:unsubscribe()
  if self.ended then return true end
  self.ended = true
  self.inner.state.subscriptions[self.id] = nil
  self.answer:resolve(nil, ended_error())
  local core = self.inner.core
  if not core or core:is_closed() then return true end
  local ok, err = core:unsubscribe(self.id)
  if ok == nil then return nil, err end
  return true
end

---True from the moment it is applied until it ends.
---@return boolean
function Subscription:is_active()
  return self.applied and not self.ended
end

---Waits until the rows are here.
---@param timeout? number seconds
---@return true?, inner_universe.Error?
function Subscription:wait(timeout)
  check.optional(timeout, "number", 1, "wait", "timeout")
  if self.applied and not self.ended then return true end
  local core = self.inner.core
  if core and not self.answer:is_resolved() then core:deliver() end
  local ok, err = tasks.wait(self.answer, timeout, 2, "subscribe")
  if ok and self.ended then return nil, ended_error() end
  return ok, err
end

Subscription.__close = Subscription.unsubscribe

return subscription
