-- bridge_settings.lua: the options of a bridge, checked and with their defaults.

local iu = require "inner_universe"

local plugin = ...
local settings = plugin.load "settings"

local KNOWN = {
  direction = "string", types = "any", filters = "any", topics = "any", shape = "string", encode = "callable", decode = "callable", publish = "any",
  subscribe = "any", unsubscribe = "any", call = "string", echoes = "boolean", echo_window = "number", consumer = "string", name = "string", source = "string",
  queue = "any", policy = "string",
}
local ONE_OF = {
  direction = { "both", "out", "in" }, shape = { "arguments", "event" }, call = { "method", "function" }, policy = { "wait", "drop_oldest", "error" },
}
local QUEUE_MAX = 1 << 20

local function invalid(format, ...)
  return nil, iu.errors.new("ValidationError", format:format(...))
end

local function one_of(key, value)
  if value == nil then return true end
  for _, name in ipairs(ONE_OF[key]) do
    if name == value then return true end
  end
  return invalid('bridge: %s: expected "%s", got "%s"', key, table.concat(ONE_OF[key], '", "'), value)
end

-- What a function of the bus is called by: its name there, or what calls it.
local function callable(is_callable, bus, options, key, default)
  local how = options[key]
  if how == nil then how = default end
  if how == nil or type(how) == "function" then return how end
  if is_callable(how) then return function(...) return how(...) end end
  if type(how) ~= "string" then return invalid("bridge: %s: a method's name or a function expected, got %s", key, type(how)) end
  local ok, method = pcall(function() return bus[how] end)
  if ok and is_callable(method) then return how end
  if ok and method ~= nil then return invalid("bridge: %s: the bus's '%s': a method expected, got %s", key, how, type(method)) end
  return invalid("bridge: %s: the bus has no method '%s'", key, how)
end

local function names(options)
  local topics = options.topics
  if topics == nil then return { "*" } end
  if type(topics) ~= "table" then return invalid("bridge: topics: an array of topics expected, got %s", type(topics)) end
  if next(topics) == nil then return invalid("bridge: topics: an array of topics expected, got none") end
  local out = {}
  for key in pairs(topics) do
    if math.type(key) ~= "integer" or key < 1 or key > #topics then return invalid("bridge: topics: an array expected, found the key %s", tostring(key)) end
  end
  for i, topic in ipairs(topics) do
    if type(topic) ~= "string" or topic == "" then return invalid("bridge: topics[%d]: a topic expected, got %s", i, tostring(topic)) end
    out[i] = topic
  end
  return out
end

--- The settings of a bridge to that bus.
---@return table?
---@return inner_universe.Error? err
return function(ctx, bus, options)
  local ok, err = ctx.check.options("bridge", options, KNOWN)
  for _, key in ipairs { "direction", "shape", "call", "policy" } do
    if ok then ok, err = one_of(key, options[key]) end
  end
  if not ok then return nil, err end
  local queue = options.queue == nil and ctx.config.handler_queue or options.queue
  if math.type(queue) ~= "integer" or queue < 1 or queue > QUEUE_MAX then
    return invalid("bridge: queue: expected an integer from 1 to %d, got %s", QUEUE_MAX, tostring(queue))
  end
  for _, key in ipairs { "consumer", "name" } do
    if options[key] then
      ok, err = settings.check_name("bridge", key, options[key])
      if not ok then return nil, err end
    end
  end
  local topics
  topics, err = names(options)
  if not topics then return nil, err end
  local calls, direction = {}, options.direction or "both"
  for key, default in pairs { publish = "publish", subscribe = "subscribe", unsubscribe = false } do
    local needed = key == "publish" and direction ~= "in" or key == "subscribe" and direction ~= "out"
    calls[key], err = callable(ctx.check.is_callable, bus, options, key, needed and default or nil)
    if err then return nil, err end
  end
  return {
    direction = direction, types = options.types, filters = options.filters, topics = topics, shape = options.shape or "arguments", encode = options.encode,
    decode = options.decode, publish = calls.publish, subscribe = calls.subscribe, unsubscribe = calls.unsubscribe, call = options.call or "method",
    echoes = options.echoes ~= false, echo_window = options.echo_window or 5, consumer = options.consumer, name = options.name or options.consumer,
    source = options.source, queue = queue, policy = options.policy or ctx.config.handler_policy,
  }
end
