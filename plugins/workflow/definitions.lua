-- definitions.lua: the workflows that this process knows, and how often and when something that failed is tried again.

local iu = require "inner_universe"

local definitions = {}

local NAME_MAX = 200 -- bytes of a workflow's, a run's, a step's and a signal's name
local RETRY = { max_attempts = 1, initial_delay = 1.0, backoff = 2.0, max_delay = 60.0, jitter = 0.1 }
local COMPENSATION = { max_attempts = 5, initial_delay = 1.0, backoff = 2.0, max_delay = 60.0, jitter = 0.1 }
local RANGES = { -- of a retry's numbers
  max_attempts = { 1, 1000000 }, initial_delay = { 0, 31536000 }, backoff = { 1, 1000 }, max_delay = { 0, 31536000 }, jitter = { 0, 1 },
}
local RETRY_KEYS = { max_attempts = "integer", initial_delay = "any", backoff = "any", max_delay = "any", jitter = "any" }
local OPTIONS = { version = "integer", run = "callable", retry = "table", timeout = "number", compensation = "table" }

local function invalid(format, ...)
  return nil, iu.errors.new("ValidationError", format:format(...))
end

--- A name that keys and messages can hold.
---@return true?, inner_universe.Error?
function definitions.check_name(what, name)
  if #name < 1 or #name > NAME_MAX then return invalid("%s: expected 1 to %d bytes, got %d", what, NAME_MAX, #name) end
  if name:find("%c") or not utf8.len(name) then
    return invalid("%s: expected UTF-8 without control characters, got %s", what, iu.json.encode(name) or "bytes that are none")
  end
  return true
end

--- The caller's policy over another one.
---@param what string the method, for messages
---@param given? table
---@param inside string the option that it is the value of
---@param base table
---@return table?, inner_universe.Error?
function definitions.retry(check, what, given, inside, base)
  if given == nil then return base end
  local ok, err = check.options(what, given, RETRY_KEYS, inside)
  if not ok then return nil, err end
  local out = {}
  for key, value in pairs(base) do out[key] = value end
  for key, value in pairs(given) do
    local range = RANGES[key]
    if type(value) ~= "number" or not (value >= range[1] and value <= range[2]) then
      return invalid("%s: %s.%s: expected a number from %g to %g, got %s", what, inside, key, range[1], range[2], tostring(value))
    end
    out[key] = value
  end
  return out
end

--- Seconds before the attempt that follows so many failed ones.
function definitions.delay(retry, failed)
  local delay = math.min(retry.max_delay, retry.initial_delay * retry.backoff ^ (failed - 1))
  return delay * (1 - retry.jitter * math.random())
end

--- Whether it makes sense to try again: an err says so itself; whatever else was raised may have had any reason.
function definitions.is_retryable(err)
  return err.retryable or err.code == "RAISED"
end

---@param check table
function definitions.new(check)
  local book = {}
  local known = {}  -- name -> version -> definition
  local latest = {} -- name -> the highest version

  --- nil, ValidationError for what is wrong with it.
  ---@return table? definition, inner_universe.Error? err
  function book.define(name, options)
    local ok, err = definitions.check_name("define: name", name)
    if ok then ok, err = check.options("define", options, OPTIONS) end
    if not ok then return nil, err end
    if not options.run then return invalid("define: run: expected a function, got nil") end
    local definition = { name = name, version = options.version or 1, run = options.run, timeout = options.timeout }
    definition.retry, err = definitions.retry(check, "define", options.retry, "retry", RETRY)
    if not definition.retry then return nil, err end
    definition.compensation, err = definitions.retry(check, "define", options.compensation, "compensation", COMPENSATION)
    if not definition.compensation then return nil, err end
    known[name] = known[name] or {}
    known[name][definition.version] = definition
    latest[name] = math.max(latest[name] or 0, definition.version)
    return definition
  end

  function book.find(name, version) return known[name] and known[name][version] end

  --- The one that new runs get.
  ---@return table?, inner_universe.Error?
  function book.latest(name)
    if known[name] then return known[name][latest[name]] end
    local names = {}
    for each in pairs(known) do names[#names + 1] = each end
    table.sort(names)
    return invalid("start: name: no workflow '%s' is defined here (known: %s)", name, #names > 0 and table.concat(names, ", ") or "none")
  end

  return book
end

return definitions
