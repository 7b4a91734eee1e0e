-- settings.lua: what users hand in, checked and with its defaults: the plugin's configuration, options of handlers and of consumers.

local iu = require "inner_universe"

local settings = {}

local BATCH_MAX = 1000
local NAME_MAX = 200 -- bytes of a consumer's name
local TYPE_MAX = 256 -- bytes of an event's type
local SECONDS_MAX = 86400 * 365

local function invalid(format, ...)
  return nil, iu.errors.new("ValidationError", format:format(...))
end

local function shown(text)
  return iu.json.encode(#text <= 80 and text or text:sub(1, 80)) or "bytes that are none"
end

-- A name that keys and messages can hold.
local function check_name(what, key, name)
  if name == "" or #name > NAME_MAX or name:find("%c") or not utf8.len(name) then
    return invalid("%s: %s: expected 1 to %d bytes of UTF-8 without control characters, got %d: %s", what, key, NAME_MAX, #name, shown(name))
  end
  return true
end

-- A type that an event can have: what the module takes.
local function check_type(what, name)
  if name ~= "" and #name <= TYPE_MAX and utf8.len(name) then return true end
  return invalid("%s: expected a type of 1 to %d bytes of UTF-8, got %d: %s", what, TYPE_MAX, #name, shown(name))
end

--- The configuration: true, or nil and what is wrong.
---@return true?
---@return string? why
function settings.validate(config)
  for i, name in ipairs(config.retention_audit_types) do
    if type(name) ~= "string" or name == "" then return nil, ("retention_audit_types[%d]: expected a type, got %s"):format(i, tostring(name)) end
  end
  local ok, err = check_type("dead_letter", config.dead_letter)
  if not ok then return nil, err.message end
  return true
end

local function count(what, key, value, low, high)
  if value == nil then return true end
  if math.type(value) ~= "integer" or value < low or value > high then
    return invalid("%s: %s: expected an integer from %d to %d, got %s", what, key, low, high, tostring(value))
  end
  return true
end

local function seconds(what, key, value)
  if value == nil then return true end
  if type(value) ~= "number" or not (value > 0 and value <= SECONDS_MAX) then
    return invalid("%s: %s: expected seconds, more than 0, got %s", what, key, tostring(value))
  end
  return true
end

local HANDLER = { filters = "any", queue = "any", policy = "string", concurrent = "any" }

--- Of a handler of live events: { topics, filters, concurrent, queue, policy, what }.
---@return table?
---@return inner_universe.Error? err
function settings.handler(ctx, topics, event_type, options, method, policies)
  local ok, err = ctx.check.options(method, options, HANDLER)
  if not ok then return nil, err end
  options = options or {}
  local wanted
  wanted, err = topics.compile(event_type, "event_type")
  if not wanted then return nil, err end
  local filters
  filters, err = topics.filters(ctx.conn, options.filters, method .. ": filters", wanted)
  if err then return nil, err end
  ok, err = count(method, "queue", options.queue, 0, 1 << 20)
  if ok then ok, err = count(method, "concurrent", options.concurrent, 1, 1 << 20) end
  if not ok then return nil, err end
  if options.policy ~= nil and not policies[options.policy] then
    return invalid('%s: policy: expected "wait", "drop_oldest" or "error", got "%s"', method, options.policy)
  end
  local one = options.queue ~= nil or options.policy ~= nil
  return {
    topics = wanted, filters = filters, what = type(event_type) == "string" and event_type or table.concat(event_type, ", "),
    concurrent = options.concurrent or one and 1 or ctx.config.handler_concurrent, queue = options.queue or ctx.config.handler_queue,
    policy = options.policy or ctx.config.handler_policy,
  }
end

local CONSUMER = {
  types = "any", from = "any", batch = "any", ack_timeout = "any", max_attempts = "any", retry_delay = "any", retry_delay_max = "any", filters = "any",
  group = "boolean", manual = "boolean", dead_letter = "string", handler = "callable",
}

settings.check_name = check_name

--- Of a durable consumer.
---@return table?
---@return inner_universe.Error? err
function settings.consumer(ctx, topics, name, options)
  local what = "consumer"
  local ok, err = check_name(what, "name", name)
  if ok then ok, err = ctx.check.options(what, options, CONSUMER) end
  if ok and options.handler == nil then ok, err = invalid("consumer: handler: a function expected, got nil") end
  if ok then ok, err = count(what, "batch", options.batch, 1, BATCH_MAX) end
  if ok then ok, err = count(what, "max_attempts", options.max_attempts, 1, 1000000) end
  for _, key in ipairs { "ack_timeout", "retry_delay", "retry_delay_max" } do
    if ok then ok, err = seconds(what, key, options[key]) end
  end
  if ok and options.dead_letter then ok, err = check_type("consumer: dead_letter", options.dead_letter) end
  if not ok then return nil, err end
  local wanted, filters
  wanted, err = topics.compile(options.types, "consumer: types")
  if not wanted then return nil, err end
  filters, err = topics.filters(ctx.conn, options.filters, "consumer: filters", wanted)
  if err then return nil, err end
  local config = ctx.config
  return {
    name = name, topics = wanted, filters = filters, from = options.from == nil and "now" or options.from, batch = options.batch or config.batch,
    ack_timeout = options.ack_timeout or config.ack_timeout_ms / 1000, max_attempts = options.max_attempts or config.max_attempts,
    retry_delay = options.retry_delay or config.retry_delay_ms / 1000, retry_delay_max = options.retry_delay_max or config.retry_delay_max_ms / 1000,
    group = options.group == true, manual = options.manual == true, dead_letter_type = options.dead_letter or config.dead_letter,
  }
end

return settings
