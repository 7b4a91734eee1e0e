-- init.lua: the cache: values by key for a while, within a number of bytes, each computed by one task at a time; and in front of get_entity where asking
-- costs a round trip. What is kept of a value is in values.lua, of an entity in entities.lua; who goes first in lru.lua; who computes in flights.lua.

local iu = require "inner_universe"

local plugin = ...
local lru = plugin.load "lru"
local values = plugin.load "values"
local flights_of = plugin.load "flights"
local make_entities = plugin.load "entities"

local M = {}

local CLOSED = "cache is closed"
local ARGUMENTS = { -- of methods: of each argument its name, its type, "?" where nil is fine
  get = { { "key", "string" } },
  set = { { "key", "string" }, { "value", "any", "?" }, { "options", "table", "?" } },
  delete = { { "key", "string" } },
  get_or_compute = { { "key", "string" }, { "fn", "callable" }, { "options", "table", "?" } },
}
local COUNTED = { "hits", "negative_hits", "misses", "computed", "shared", "failed", "too_large", "evicted", "expired", "deleted", "replaced", "cleared" }
local ENTITY_COUNTED = { "hits", "negative_hits", "misses", "passed", "changes", "evicted", "expired", "deleted", "replaced", "cleared", "failed" }
local SET_OPTIONS = { ttl = "number" }
local COMPUTE_OPTIONS = { ttl = "number", negative_ttl = "number", timeout = "number" }

local function zeros(names)
  local counts = {}
  for _, name in ipairs(names) do counts[name] = 0 end
  return counts
end

function M.start(ctx)
  local check = ctx.check
  local clock = ctx.clock
  local config = ctx.config
  local methods = {}
  local counts = zeros(COUNTED)
  local stopped = false
  local flights = flights_of.new(ctx, config.wait_timeout_ms / 1000)
  local ttl_default, negative_default = config.ttl_ms / 1000, config.negative_ttl_ms / 1000
  local list = lru.new(config.max_bytes, math.maxinteger, ctx.cache_memory.open, function(_, why) counts[why] = counts[why] + 1 end)

  local entities, hook
  if ctx.settings.features.enable_caching and (config.entities == "always" or config.entities == "auto" and ctx.settings.backend == "spacetimedb") then
    entities = make_entities(ctx, zeros(ENTITY_COUNTED))
    hook = ctx.hooks.around("get_entity", entities.hook)
  end

  local function closed() return stopped or ctx.is_closed() end

  -- The entry of a key that is there and not too old.
  local function find(key)
    local entry = list:find(key)
    if not entry then return nil end
    local expires = entry.expires
    if expires and clock() >= expires then
      list:drop(entry, "expired")
      return nil
    end
    list:touch(entry)
    if entry.value == nil and not entry.text then
      counts.negative_hits = counts.negative_hits + 1
    else
      counts.hits = counts.hits + 1
    end
    return entry
  end

  local function put(entry, seconds)
    entry.expires = seconds > 0 and clock() + seconds or nil
    if list:put(entry) then return true end
    counts.too_large = counts.too_large + 1
    return false
  end

  --- The value, or nil. Tables are the caller's own: changing them changes nothing here.
  ---@param key string
  ---@return any value
  function methods:get(key)
    if closed() then check.raise(CLOSED) end
    if type(key) ~= "string" then check.arguments(ARGUMENTS.get, "get", key) end
    local entry = find(key)
    if entry then return values.of(entry) end
    counts.misses = counts.misses + 1
    return nil
  end

  --- Keeps a value: a table of JSON (as it is now), a document, a string, a number or a boolean.
  ---@param key string
  ---@param value any nil: there is nothing, for `negative_ttl_ms`
  ---@param options? { ttl?: number } seconds
  ---@return true? ok
  ---@return inner_universe.Error? err ValidationError, OverloadedError (larger than the whole cache)
  function methods:set(key, value, options)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.set, "set", key, value, options)
    local ok, err = check.options("set", options, SET_OPTIONS)
    if not ok then return nil, err end
    local entry
    entry, err = values.entry(key, value)
    if not entry then return nil, err end
    flights.detach(key)
    if put(entry, options and options.ttl or value == nil and negative_default or ttl_default) then return true end
    return nil, iu.errors.new("OverloadedError", ("set: '%s' takes %d bytes, the cache has %d"):format(key, entry.bytes, config.max_bytes))
  end

  --- True when there was something; what is being computed for the key is not kept.
  ---@param key string
  ---@return boolean
  function methods:delete(key)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.delete, "delete", key)
    flights.detach(key)
    local entry = list:find(key)
    if not entry then return false end
    list:drop(entry, "deleted")
    return true
  end

  --- Forgets everything, entities too.
  function methods:clear()
    if closed() then check.raise(CLOSED) end
    flights.detach_all()
    list:clear("cleared")
    if entities then entities.clear() end
  end

  -- What a computation gave is kept, unless the key changed meanwhile; the entry serves those who wait in any case.
  local function keeper(key, options)
    return function(value, detached)
      local entry, err = values.entry(key, value)
      if not entry then return nil, err end
      counts.computed = counts.computed + 1
      if closed() or detached then return entry end
      if value == nil then
        put(entry, options and options.negative_ttl or negative_default)
      else
        put(entry, options and options.ttl or ttl_default)
      end
      return entry
    end
  end

  --- The value that is kept, else what `fn()` answers, which is kept: nil for `negative_ttl`. Of several tasks that want the key one computes; the others
  --- get the same value, or its error (which is not kept).
  ---@param key string
  ---@param fn fun(): any, any a value; nil; or nil and an err
  ---@param options? { ttl?: number, negative_ttl?: number, timeout?: number } seconds
  ---@return any value
  ---@return inner_universe.Error? err fn's, TimeoutError, ConflictError (computed from itself), ValidationError (no value that can be kept)
  function methods:get_or_compute(key, fn, options)
    if closed() then check.raise(CLOSED) end
    if type(key) ~= "string" or type(fn) ~= "function" or options ~= nil then
      check.arguments(ARGUMENTS.get_or_compute, "get_or_compute", key, fn, options)
    end
    if options ~= nil then
      local ok, why = check.options("get_or_compute", options, COMPUTE_OPTIONS)
      if not ok then return nil, why end
    end
    local entry = find(key)
    if entry then return values.of(entry) end
    counts.misses = counts.misses + 1
    local flight = flights.find(key)
    while flight do
      if flight.thread ~= coroutine.running() and not ctx.can_wait() then return fn() end -- nothing may wait here: not shared, not kept
      counts.shared = counts.shared + 1
      local outcome = flights.await(flight, options and options.timeout)
      if outcome.err then return nil, outcome.err end
      if outcome.entry then return values.of(outcome.entry) end
      if closed() then return nil, iu.errors.new("ConnectionError", CLOSED, { code = "CLOSED", retryable = false }) end
      flight = flights.find(key)
    end
    local value, err = flights.compute(key, fn, keeper(key, options))
    if value == nil and err ~= nil then counts.failed = counts.failed + 1 end
    return value, err
  end

  --- How much is kept, and how it served.
  ---@return table
  function methods:stats()
    if closed() then check.raise(CLOSED) end
    local stats = { entries = list.count, bytes = list:bytes(), max_bytes = config.max_bytes, computing = flights.under_way }
    for name, count in pairs(counts) do stats[name] = count end
    stats.failed = stats.failed + flights.raised
    stats.all_caches = { bytes = ctx.cache_memory.used(), max_bytes = ctx.cache_memory.limit }
    stats.entities = entities and entities.stats() or nil
    return stats
  end

  function methods:stop()
    if stopped then return end
    stopped = true
    if hook then hook:remove() end
    if entities then entities.stop() end
    flights.detach_all()
    list:clear("cleared")
  end

  function methods:health()
    if closed() then return nil, CLOSED end
    local asked = counts.hits + counts.negative_hits + counts.misses
    return true, {
      entries = list.count, bytes = list:bytes(), hit_rate = asked > 0 and (counts.hits + counts.negative_hits) / asked or nil,
      entities = entities and entities.stats().kept or nil,
    }
  end

  return ctx.hooks.class("cache", methods, { arguments = ARGUMENTS }).new {}
end

return M
