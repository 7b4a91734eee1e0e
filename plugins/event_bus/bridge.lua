-- bridge.lua: an application's own bus and the log, tied together: what is said on one side is said on the other, once.
--
-- Outward: events of the log (live, or by a durable consumer) are published on the bus. Inward: what the bus tells is published in the log.
-- No echo. An event that the bridge has put into the log is known by its id, and not published on the bus: with a `name` (that of the durable consumer, where
-- there is one) all ids begin with `bridge:<name>:`, so that it holds across restarts and for all processes whose bridge has the name; without one the last
-- OWN_MAX ids are remembered. A message that the bridge has published on the bus comes back where the bridge listens to its topic: it is expected there, once
-- by each subscription (bridge_echoes.lua). Of two equal messages without ids either is as good as the other, so one too many is never told, nor one too few.
-- With a name there may be other processes' bridges on the bus: what they publish has the id of an event of the log, and is not put there again.
-- Order is kept each way. What waits to be put into the log is bounded (`queue`), with the policies of handlers.
--
-- How the bus is called and what its handlers get is the `shape`:
--   arguments  bus:publish(type, data, source), and handlers get (type, data, source)
--   event      bus:publish(event), and handlers get one table { id, type, source, timestamp, data }; `event_type` and `payload` are understood, too
-- or two functions: encode(message) gives what publish is called with, decode(...) gives type, data, source, id of what a handler gets (nil: not for the log).

local iu = require "inner_universe"

local plugin = ...
local echoes = plugin.load "bridge_echoes"

local OWN_MAX = 10000      -- ids of what was put into the log, until they are seen there

local SHAPES = {
  arguments = {
    encode = function(message) return message.type, message.data, message.source end,
    decode = function(event_type, data, source) return event_type, data, source end,
  },
  event = {
    encode = function(message)
      return { id = message.id, type = message.type, source = message.source, timestamp = message.timestamp, data = message.data }
    end,
    decode = function(event)
      if type(event) ~= "table" then return nil end
      local data = event.data
      if data == nil then data = event.payload end
      return event.type or event.event_type, data, event.source, event.id
    end,
    carries_id = true,
  },
}

---@class inner_universe.event_bus.BridgeOptions
---@field direction? "both"|"out"|"in" out: from the log to the bus
---@field types? string|string[] of the log, that go out
---@field filters? inner_universe.Filter[] on them
---@field topics? string[] topics of the bus that are subscribed; by default { "*" }
---@field shape? "arguments"|"event"
---@field encode? fun(message: inner_universe.Message): ...
---@field decode? fun(...): string?, any, string?, string?
---@field publish? string|fun(bus: any, ...) the method's name, or what to call
---@field subscribe? string|fun(bus: any, topic: string, fn: function): any
---@field unsubscribe? string|fun(bus: any, topic: string, fn: function, token: any) the method's name; without it what subscribe returned is cancelled
---@field call? "method"|"function" whether the bus's functions take it as their first argument
---@field echoes? boolean false: the bus does not tell a message to who published it
---@field echo_window? number seconds
---@field consumer? string out: by the durable consumer of this name
---@field name? string of the bus, for all who bridge it; by default the consumer's
---@field source? string of what comes in without one
---@field queue? integer messages that wait to be put into the log
---@field policy? "wait"|"drop_oldest"|"error"

---@param ctx table
---@param env table { topics, publish, listen, consumer }
return function(ctx, env)
  local bridge = {}
  local bridges, by_bus = {}, setmetatable({}, { __mode = "k" })

  ---@class inner_universe.event_bus.Bridge
  local Bridge = { __name = "inner_universe.event_bus.Bridge" }
  Bridge.__index = Bridge

  -- ---- what came from the bus ----

  local function remember(self, id)
    local own = self.own
    own.last = own.last + 1
    own[own.last], own.ids[id] = id, true
    if own.last - own.first >= OWN_MAX then
      own.ids[own[own.first]] = nil
      own[own.first] = nil
      own.first = own.first + 1
    end
  end

  local function is_own(self, id)
    if self.prefix then return id:sub(1, #self.prefix) == self.prefix end
    return self.own.ids[id] ~= nil
  end

  -- ---- outward ----

  local function call(self, how, ...)
    if type(how) == "function" then return how(self.bus, ...) end
    local method = self.bus[how]
    if self.call == "function" then return method(...) end
    return method(self.bus, ...)
  end

  local function outward(self, message)
    if not self.active or is_own(self, message.id) then return true end
    local expected, published = {}, false -- by subscription
    local _ <close> = setmetatable({}, { __close = function()
      if published then return end
      self.counts.failed = self.counts.failed + 1
      for each, entry in pairs(expected) do each.line:forget(entry) end -- an equal message that comes is another one
    end })
    local encoded = table.pack(self.encode(message))
    if self.echoes and self.subscribed[1] then
      local keys = echoes.keys(message, encoded, self.changes and self.decode, self.carries_id)
      for _, each in ipairs(self.subscribed) do expected[each] = each.line:expect(keys) end
    end
    call(self, self.publish, table.unpack(encoded, 1, encoded.n))
    self.counts.out, published = self.counts.out + 1, true
    return true
  end

  -- ---- inward ----

  -- Whether it is an event of the log that another process's bridge of that name has published.
  local function is_told(self, item)
    if not (self.prefix and self.outs and item.id) then return false end
    local row, err = ctx.conn:get("event_log", item.id)
    if err then ctx.report(err, "bridge: " .. item.type) end
    return row ~= nil
  end

  local function put(self, item)
    if is_told(self, item) then return end
    local id = (self.prefix or "") .. (item.id or iu.uuid())
    if not self.prefix and self.outs then remember(self, id) end
    local ok, err = env.publish(item.type, item.source or self.source, item.data, id)
    if ok then
      self.counts["in"] = self.counts["in"] + 1
      return
    end
    if err.kind == "ConflictError" and item.id then return end -- it is in the log already
    self.counts.failed = self.counts.failed + 1
    ctx.report(err, "bridge: " .. tostring(item.type))
  end

  -- One at a time puts what waits into the log; the others leave theirs to it.
  local function work_off(self)
    if self.busy then return end
    self.busy = true
    local _ <close> = setmetatable({}, { __close = function() self.busy = false end })
    while self.active and self.head <= self.tail do
      local item = self.queue[self.head]
      self.queue[self.head] = nil
      self.head = self.head + 1
      if self.room then
        self.room:resolve(true)
        self.room = nil
      end
      put(self, item)
    end
  end

  local function no_room(self, item)
    if self.policy == "wait" and ctx.can_wait() then
      while self.active and self.tail - self.head + 1 >= self.queue_max do
        self.room = self.room or ctx.waiter()
        self.room:wait()
      end
      return self.active
    end
    self.counts.dropped = self.counts.dropped + 1
    if self.policy == "drop_oldest" then
      self.queue[self.head] = nil
      self.head = self.head + 1
      return true
    end
    ctx.report(iu.errors.new("OverloadedError", ("bridge: %s: %d messages wait for the log already"):format(tostring(item.type), self.queue_max)), "bridge")
    return false
  end

  local function refuse(self, err)
    self.counts.failed = self.counts.failed + 1
    ctx.report(err, "bridge")
  end

  -- Raises nothing: it is called by whoever publishes on the bus.
  local function inward(self, line, ...)
    if not self.active or ctx.is_closed() then return end
    local fine, event_type, data, source, id = pcall(self.decode, ...)
    if not fine then return refuse(self, iu.errors.wrap("PluginError", "bridge: decode raised", event_type)) end
    if event_type == nil then return end
    if line:take(event_type, data, id) then return end
    if type(event_type) ~= "string" or source ~= nil and type(source) ~= "string" or id ~= nil and type(id) ~= "string" then
      local wrong = ("bridge: a message of type %s: texts expected for type, source and id"):format(tostring(event_type))
      return refuse(self, iu.errors.new("ValidationError", wrong))
    end
    if self.busy and type(data) == "table" then -- it waits: the publisher may fill its table anew meanwhile
      local text, err = iu.json.encode(data)
      if not text then return refuse(self, err) end
      data = assert(iu.json.decode(text))
    end
    local item = { type = event_type, data = data, source = source, id = id }
    if self.tail - self.head + 1 >= self.queue_max and not no_room(self, item) then return end
    self.tail = self.tail + 1
    self.queue[self.tail] = item
    work_off(self)
  end

  -- ---- life ----

  local function end_subscription(self, each)
    local token = each.token
    if self.unsubscribe then
      call(self, self.unsubscribe, each.topic, each.fn, token)
    elseif type(token) == "function" then
      token()
    elseif type(token) == "table" then
      local cancel = token.cancel or token.unsubscribe or token.close
      if cancel then cancel(token) end
    end
  end

  --- Ends it both ways. true; again: false.
  ---@return boolean ended
  function Bridge:cancel()
    if not self.active then return false end
    self.active = false
    if self.listener then self.listener:cancel() end
    if self.consumer then self.consumer:stop() end
    for _, each in ipairs(self.subscribed) do
      local ok, err = pcall(end_subscription, self, each)
      if not ok then ctx.report(err, "bridge: unsubscribe") end
    end
    if self.room then self.room:resolve(true) end
    bridges[self], by_bus[self.bus] = nil, nil
    return true
  end

  Bridge.__close = Bridge.cancel

  ---@return boolean
  function Bridge:is_active() return self.active end

  --- { out, in, dropped, failed, waiting }
  ---@return table
  function Bridge:stats()
    local counts = self.counts
    return { out = counts.out, ["in"] = counts["in"], dropped = counts.dropped, failed = counts.failed, waiting = self.tail - self.head + 1 }
  end

  local function subscribe(self, topic)
    local each = { topic = topic, line = echoes.new(ctx.clock, self.echo_window) }
    function each.fn(...) return inward(self, each.line, ...) end
    self.subscribed[#self.subscribed + 1] = each
    local ok, token = pcall(call, self, self.subscribe, topic, each.fn)
    if ok then
      each.token = token
      return true
    end
    self.subscribed[#self.subscribed] = nil
    return nil, iu.errors.wrap("PluginError", ("bridge: the bus refused a subscription to %s"):format(topic), token)
  end

  local function start(self, settings)
    local err
    if self.ins then
      for _, topic in ipairs(settings.topics) do
        local ok
        ok, err = subscribe(self, topic)
        if not ok then return nil, err end
      end
    end
    if not self.outs then return true end
    local function fn(message) return outward(self, message) end
    if settings.consumer then
      self.consumer, err = env.consumer(settings.consumer, { types = settings.types, filters = settings.filters, handler = fn })
    else
      self.listener, err = env.listen(settings.types or "*", fn, { filters = settings.filters, policy = "wait" })
    end
    if self.consumer or self.listener then return true end
    return nil, err
  end

  --- settings: checked (bridge_settings.lua).
  ---@return inner_universe.event_bus.Bridge?
  ---@return inner_universe.Error? err
  function bridge.add(bus, settings)
    if by_bus[bus] then return nil, iu.errors.new("ConflictError", "bridge: this bus has a bridge already") end
    local shape = SHAPES[settings.shape]
    local self = setmetatable({
      bus = bus, active = true, own = { ids = {}, first = 1, last = 0 }, subscribed = {}, queue = {}, head = 1, tail = 0,
      counts = { out = 0, ["in"] = 0, dropped = 0, failed = 0 }, outs = settings.direction ~= "in", ins = settings.direction ~= "out",
      encode = settings.encode or shape.encode, decode = settings.decode or shape.decode,
      changes = (settings.encode or settings.decode) ~= nil, carries_id = not (settings.encode or settings.decode) and shape.carries_id,
      publish = settings.publish, subscribe = settings.subscribe, unsubscribe = settings.unsubscribe, call = settings.call,
      prefix = settings.name and ("bridge:%s:"):format(settings.name), echoes = settings.echoes, echo_window = settings.echo_window,
      source = settings.source, queue_max = settings.queue, policy = settings.policy,
    }, Bridge)
    bridges[self], by_bus[bus] = true, self
    local ok, err = start(self, settings)
    if ok then return self end
    self:cancel()
    return nil, err
  end

  function bridge.stop()
    for self in pairs(bridges) do self:cancel() end
  end

  --- Of all together.
  function bridge.stats()
    local out = { bridges = 0, out = 0, ["in"] = 0, dropped = 0, failed = 0, waiting = 0 }
    for self in pairs(bridges) do
      out.bridges = out.bridges + 1
      for key, value in pairs(self:stats()) do out[key] = out[key] + value end
    end
    return out
  end

  return bridge
end
