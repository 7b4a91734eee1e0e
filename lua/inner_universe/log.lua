-- Logging to a sink that the host sets; without one nothing is written anywhere. One sink per Lua state, a level per logger (a universe's
-- `log_level`). A message is formatted only when it will be delivered.

local suggest = require("inner_universe.suggest")

---@alias inner_universe.Level "off"|"error"|"warn"|"info"|"debug"|"trace"

---@class inner_universe.log
local log = {}

local LEVELS = { off = 0, error = 1, warn = 2, info = 3, debug = 4, trace = 5 }
local UNFILTERED = "[a message that a filter of the log failed on]"
local DELIVERED = { "error", "warn", "info", "debug", "trace" }

---A log of its own: sink and listeners. The library makes one per Lua state.
---@return table
function log.new()
  local self = {}
  local sink
  local filters = {} -- replaced when it changes

  local function deliver(level, message, source)
    for _, filter in ipairs(filters) do
      local ok, text = pcall(filter.fn, message)
      message = ok and type(text) == "string" and text or UNFILTERED
    end
    pcall(sink, level, message, source)
  end

  ---`fn(message)` answers what of every message is delivered, whoever speaks, until `handle:cancel()`. One that raises hides the message.
  ---@param fn fun(message: string): string
  ---@return { cancel: fun() } handle
  function self.add_filter(fn)
    local filter = { fn = fn }
    local function others()
      local list = {}
      for _, each in ipairs(filters) do
        if each ~= filter then list[#list + 1] = each end
      end
      return list
    end
    filters = others()
    filters[#filters + 1] = filter
    function filter.cancel() filters = others() end
    return filter
  end

  ---`fn(level, message, source)` hears every message from now on; nil: nobody. A sink that raises is ignored. Returns the sink before.
  ---@param fn? fun(level: inner_universe.Level, message: string, source: string)
  ---@return function? previous
  function self.set_sink(fn)
    if fn ~= nil and type(fn) ~= "function" then
      error(("bad argument #1 to 'set_sink' (function or nil expected, got %s)"):format(type(fn)), 2)
    end
    local previous = sink
    sink = fn
    return previous
  end

  function self.has_sink()
    return sink ~= nil
  end

  ---Delivers one message, whatever its level.
  function self.write(level, message, source)
    if sink then deliver(level, message, source or "") end
  end

  ---A logger: `logger.info(format, ...)` and so on, `logger.enabled(level)`.
  ---@param source string who speaks
  ---@param level? inner_universe.Level what is still delivered [info]
  ---@return inner_universe.Logger
  function self.logger(source, level)
    local limit = LEVELS[level or "info"]
    if not limit then
      error(("unknown log level '%s'%s"):format(tostring(level), suggest.hint(tostring(level), LEVELS)), 2)
    end
    local logger = {}
    for _, name in ipairs(DELIVERED) do
      local rank = LEVELS[name]
      logger[name] = function(format, ...)
        if rank > limit or not sink then return end
        local message = format
        if select("#", ...) > 0 then
          local ok, text = pcall(string.format, format, ...)
          message = ok and text or tostring(format)
        end
        deliver(name, tostring(message), source)
      end
    end
    function logger.enabled(name)
      return sink ~= nil and (LEVELS[name] or math.huge) <= limit
    end
    return logger
  end

  return self
end

---@class inner_universe.Logger
---@field error fun(format: string, ...)
---@field warn fun(format: string, ...)
---@field info fun(format: string, ...)
---@field debug fun(format: string, ...)
---@field trace fun(format: string, ...)
---@field enabled fun(level: inner_universe.Level): boolean

log.levels = LEVELS

return log
