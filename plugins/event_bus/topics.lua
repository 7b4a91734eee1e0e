-- topics.lua: which events are meant: patterns of types, filters on columns and paths of the data.
--
-- In a pattern `*` stands for any run of bytes, also none; all else stands for itself, case included. A pattern without `*` is one type. Matching is linear in
-- the type's length. Filters are the manager's (core/query/filter.h), over the columns of event_log: `data.user.age`, `source`, `actor`, `timestamp`.

local iu = require "inner_universe"

local topics = {}

local PATTERNS_MAX = 256 -- of one list
local PATTERN_BYTES_MAX = 512

local function invalid(format, ...)
  return nil, iu.errors.new("ValidationError", format:format(...))
end

-- The texts between the stars.
local function parts_of(pattern)
  local parts = {}
  for part in (pattern .. "*"):gmatch("([^*]*)%*") do parts[#parts + 1] = part end
  return parts
end

-- The first text begins the type and the last one ends it; those between are found one after the other, each as early as possible.
local function matches(parts, event_type)
  local count = #parts
  local at = #parts[1] + 1
  if event_type:sub(1, at - 1) ~= parts[1] then return false end
  local tail = parts[count]
  local limit = #event_type - #tail
  if limit < at - 1 or event_type:sub(limit + 1) ~= tail then return false end
  for i = 2, count - 1 do
    local part = parts[i]
    if part ~= "" then
      local from, to = event_type:find(part, at, true)
      if not from or to > limit then return false end
      at = to + 1
    end
  end
  return true
end

---@class inner_universe.event_bus.Topics
---@field patterns string[]
---@field exact? string the one type that is meant
---@field prefix? string what all that is meant begins with
---@field all boolean
local Topics = {}
Topics.__index = Topics

---@param event_type string
---@return boolean
function Topics:match(event_type)
  if self.all then return true end
  local known = self.types[event_type]
  if known then return true end
  for _, parts in ipairs(self.globs) do
    if matches(parts, event_type) then return true end
  end
  return false
end

--- The condition on event_type that a selection may have: never stronger than the patterns; nil: none.
---@return table?
function Topics:condition()
  if self.all then return nil end
  if #self.globs == 0 then
    local names = iu.array {}
    for name in pairs(self.types) do names[#names + 1] = name end
    table.sort(names)
    if #names == 1 then return { field = "event_type", operator = "Equals", value = names[1] } end
    return { field = "event_type", operator = "In", value = names }
  end
  if #self.patterns == 1 and self.globs[1][1] ~= "" then return { field = "event_type", operator = "StartsWith", value = self.globs[1][1] } end
  return nil
end

--- Patterns compiled: a text or an array of texts; nil is `*`. what: the option's name in messages.
---@param given string|string[]|nil
---@param what string
---@return inner_universe.event_bus.Topics?
---@return inner_universe.Error? err
function topics.compile(given, what)
  if given == nil then given = "*" end
  if type(given) == "string" then given = { given } end
  if type(given) ~= "table" then return invalid("%s: a type or an array of types expected, got %s", what, type(given)) end
  if #given == 0 then return invalid('%s: expected a type, a pattern or "*", got none', what) end
  if #given > PATTERNS_MAX then return invalid("%s: expected at most %d patterns, got %d", what, PATTERNS_MAX, #given) end
  local self = setmetatable({ patterns = {}, types = {}, globs = {}, all = false }, Topics)
  for key in pairs(given) do
    if math.type(key) ~= "integer" or key < 1 or key > #given then return invalid("%s: an array expected, found the key %s", what, tostring(key)) end
  end
  for i, pattern in ipairs(given) do
    if type(pattern) ~= "string" then return invalid("%s[%d]: a text expected, got %s", what, i, type(pattern)) end
    if pattern == "" then return invalid('%s: expected a type, a pattern or "*", got ""', what) end
    if #pattern > PATTERN_BYTES_MAX then return invalid("%s[%d]: expected at most %d bytes, got %d", what, i, PATTERN_BYTES_MAX, #pattern) end
    self.patterns[i] = pattern
    if not pattern:find("*", 1, true) then
      self.types[pattern] = true
    elseif not pattern:find("[^*]") then
      self.all = true
    else
      self.globs[#self.globs + 1] = parts_of(pattern)
    end
  end
  self.exact = #given == 1 and self.types[given[1]] and given[1] or nil
  return self
end

local through -- the manager's rows

--- Once per universe: the hooks between rows and users (`manager.rows`), which say of some filters that nobody can look there.
function topics.select_through(rows) through = rows end

--- Filters checked against the log's columns: a copy, or nil where there are none.
---@param conn inner_universe.Connection
---@param filters inner_universe.Filter[]?
---@param what string
---@param wanted inner_universe.event_bus.Topics the events that they are to choose from
---@return table[]? filters
---@return inner_universe.Error? err
function topics.filters(conn, filters, what, wanted)
  if filters == nil then return nil end
  if type(filters) ~= "table" then return invalid("%s: an array of { field, operator, value } expected, got %s", what, type(filters)) end
  if next(filters) == nil then return nil end
  local copy = {}
  for key, value in pairs(filters) do copy[key] = value end
  local ok, err = conn:select_from("event_log", {}, { filters = copy })
  if ok then ok, err = through:select("event", { filters = copy, types = wanted }) end
  if not ok then return nil, iu.errors.new("ValidationError", ("%s: %s"):format(what, err.message), { cause = err }) end
  return copy
end

--- Those of the rows that pass, in order of their sequence; the rows themselves, not copies.
---@param conn inner_universe.Connection
---@param filters table[]
---@param rows table[]
---@return table[]? rows
---@return inner_universe.Error? err
function topics.passing(conn, filters, rows)
  local found, err = conn:select_from("event_log", rows, { filters = filters, order_by = "sequence" })
  if not found then return nil, err end
  local by_sequence, out = {}, {}
  for _, row in ipairs(rows) do by_sequence[row.sequence] = row end
  for i, row in ipairs(found) do out[i] = by_sequence[row.sequence] end
  return out
end

return topics
