-- init.lua: the pool plugin: leases of connections, in turn. Here is what users call and what becomes of leases; connections.lua has the connections.
--
-- A lease ends when it is released, when its variable is closed, when the task that acquired it ends (unless it was detached), or when it is collected,
-- whichever comes first. Its slot, not the lease, is what the pool and the task's end know: so a lease that is forgotten can be collected.

local iu = require "inner_universe"

local plugin = ...
local make_connections = plugin.load "connections"

local M = {}

local CLOSED = "pool is closed"
local ARGUMENTS = { -- of methods: of each argument its name, its type, "?" where nil is fine
  acquire = { { "options", "table", "?" } },
  with = { { "fn", "callable" }, { "options", "table", "?" } },
}

function M.validate(config)
  if config.min > config.max then return nil, ("min: expected at most max (%d), got %d"):format(config.max, config.min) end
  return true
end

-- What a lease may still do; the lease itself has nothing but its slot.
local SLOT = {}

---@class inner_universe.Lease
---@field conn inner_universe.Connection raises when the lease has ended
local Lease = {}

---Gives the connection back. Again: nothing.
---@return true
function Lease:release()
  self[SLOT]:finish("released")
  return true
end

---The lease does not end with the task that acquired it any more, only by `release`, `<close>`, or when it is collected.
function Lease:detach()
  local slot = self[SLOT]
  if slot.handle then slot.handle:cancel() end
  slot.handle = nil
end

---@return boolean
function Lease:is_released()
  return self[SLOT].link == nil
end

local lease_meta = {
  __name = "inner_universe.Lease",
  __index = function(self, key)
    if key ~= "conn" then return Lease[key] end
    local link = rawget(self, SLOT).link
    if not link then error("the lease is released", 2) end
    return link.conn
  end,
  __newindex = function() error("a lease is read-only", 2) end,
  __close = function(self) rawget(self, SLOT):finish("released") end,
  __gc = function(self) rawget(self, SLOT):finish("collected") end,
  __tostring = function(self) return rawget(self, SLOT).link and "lease" or "lease (released)" end,
}

function M.start(ctx)
  local check, config = ctx.check, ctx.config
  local statistics = {
    acquired = 0, released = 0, ended_with_task = 0, collected = 0, timeouts = 0, overloaded = 0, waited = 0, waited_ms = 0, longest_wait_ms = 0,
    opened = 0, failed = 0, checks = 0, broken = 0, too_old = 0, unused = 0, left_over = 0, own = 0,
  }
  local connections = make_connections(ctx, statistics)
  local room = ctx.room(config.max, { waiting_max = config.waiting_max, what = "pool" })
  local leased, leased_count = {}, 0 -- slots
  local stopped = false
  local methods = {}

  -- ---- leases ----

  local Slot = {}
  Slot.__index = Slot

  -- Never waits: it may be called by the collector, or at the end of a task.
  function Slot:finish(how)
    local link = self.link
    if not link then return end
    self.link = nil
    if self.handle then self.handle:cancel() end
    leased[self], leased_count = nil, leased_count - 1
    statistics[how] = statistics[how] + 1
    if stopped then return end
    connections.give(link)
    room:give(1)
  end

  local function new_lease(link)
    local slot = setmetatable({ link = link, since = ctx.clock() }, Slot)
    leased[slot], leased_count = true, leased_count + 1
    statistics.acquired = statistics.acquired + 1
    slot.handle = ctx.at_task_end(function() slot:finish("ended_with_task") end)
    return setmetatable({ [SLOT] = slot }, lease_meta)
  end

  local function why_full(timeout, cause)
    local oldest = ctx.clock()
    for slot in pairs(leased) do oldest = math.min(oldest, slot.since) end
    return iu.errors.new("TimeoutError", ("pool: no connection came free within %g s (max %d: %d are lent, the longest for %.1f s; %d others wait)")
      :format(timeout, config.max, leased_count, ctx.clock() - oldest, room.waiting), { cause = cause })
  end

  -- A place in the room, or nil, err.
  local function wait_in_turn(timeout)
    if room:try(1) then return true end
    local began = ctx.clock()
    local ok, err = room:take(1, timeout)
    local ms = math.floor((ctx.clock() - began) * 1000)
    statistics.waited, statistics.waited_ms = statistics.waited + 1, statistics.waited_ms + ms
    statistics.longest_wait_ms = math.max(statistics.longest_wait_ms, ms)
    if ok then return true end
    if err.kind == "TimeoutError" then
      statistics.timeouts = statistics.timeouts + 1
      return nil, why_full(timeout, err)
    end
    if err.kind == "OverloadedError" then statistics.overloaded = statistics.overloaded + 1 end
    return nil, err
  end

  local OPTIONS = { timeout = "number", identity = "string", token = "string" }

  local function check_options(method, options)
    local ok, err = check.options(method, options, OPTIONS)
    if not ok then return nil, err end
    local wrong = options and (connections.embedded and options.token and "token" or not connections.embedded and options.identity and "identity")
    if not wrong then return true end
    return nil, iu.errors.new("ValidationError",
      ("%s: %s: for %s only"):format(method, wrong, wrong == "token" and "servers" or "embedded universes"))
  end

  local function acquire(method, options)
    local ok, err = check_options(method, options)
    if not ok then return nil, err end
    options = options or {}
    ok, err = wait_in_turn(options.timeout or config.timeout_ms / 1000)
    if not ok then return nil, err end
    local link
    local place <close> = setmetatable({}, { __close = function() -- cancelled, or no connection
      if not link and not stopped then room:give(1) end
    end })
    link, err = connections.take(options)
    if not link then return nil, err end
    if stopped then
      if not link.shared then connections.close(link, "own") end
      return nil, iu.errors.new("ConnectionError", CLOSED, { code = "CLOSED", retryable = false })
    end
    return place and new_lease(link)
  end

  --- A lease of a connection, in turn: `lease.conn` until it ends. On an embedded universe it is the universe's own connection, or, with `identity`, a session
  --- with it; on a server `token` asks for a connection with that identity. timeout: seconds to wait in turn [timeout_ms].
  ---@param options? { timeout?: number, identity?: string, token?: string }
  ---@return inner_universe.Lease? lease
  ---@return inner_universe.Error? err TimeoutError, OverloadedError (waiting_max), ConnectionError
  function methods:acquire(options)
    if stopped or ctx.is_closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.acquire, "acquire", options)
    return acquire("acquire", options)
  end

  --- fn(conn, lease) with a lease that ends with it, however it ends. fn's results, or nil, err where there is no connection.
  ---@param fn fun(conn: inner_universe.Connection, lease: inner_universe.Lease): ...
  ---@param options? { timeout?: number, identity?: string, token?: string }
  ---@return any ...
  function methods:with(fn, options)
    if stopped or ctx.is_closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.with, "with", fn, options)
    local lease <close>, err = acquire("with", options)
    if not lease then return nil, err end
    return fn(lease.conn, lease)
  end

  --- Numbers since the start: acquired; released, ended_with_task, collected (how leases ended); timeouts, overloaded, waited, waited_ms, longest_wait_ms;
  --- opened, failed, checks; broken, too_old, unused, left_over, own (why connections were closed). And now: leased, idle, opening, waiting, max.
  ---@return table<string, integer>
  function methods:statistics()
    local out = { leased = leased_count, idle = connections.idle, opening = connections.opening, waiting = room.waiting, max = config.max }
    for name, value in pairs(statistics) do out[name] = value end
    return out
  end

  -- ---- upkeep ----

  -- Opens up to min. A place in the room each, so that there are never more than max.
  local function fill()
    while not stopped and connections.idle + room.used < config.min and room:try(1) do
      local ok, err = connections.add()
      if not stopped then room:give(1) end
      if not ok then
        ctx.log.warn("no connection can be opened: %s", tostring(err))
        return
      end
    end
  end

  local function keep_up()
    while not stopped do
      connections.thin_out()
      fill()
      iu.sleep(config.upkeep_ms / 1000)
    end
  end

  function methods:stop()
    if stopped then return end
    stopped = true
    room:close(iu.errors.new("ConnectionError", CLOSED, { code = "CLOSED", retryable = false }))
    local list = {}
    for slot in pairs(leased) do list[#list + 1] = slot end
    for _, slot in ipairs(list) do
      local link = slot.link
      slot:finish("released")
      if not link.shared then link.conn:close() end
    end
    connections.close_all()
  end

  function methods:health()
    if connections.problem then return nil, ("the last connection could not be opened: %s"):format(connections.problem) end
    return true, methods:statistics()
  end

  if not connections.embedded then ctx.spawn(keep_up) end
  return ctx.hooks.class("pool", methods, { arguments = ARGUMENTS }).new {}
end

return M
