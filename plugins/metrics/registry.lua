-- registry.lua: metrics by name, and of each its series by label values. What users make is bounded: so many names, so many series of a name; a series too
-- many is the one whose label values are all "(other)", so sums stay right.
--
-- A series is kept by whoever counts: finding it costs a look over its labels, counting an addition.

local iu = require "inner_universe"

local registry = {}

local NAME, LABEL = "^[a-zA-Z_:][a-zA-Z0-9_:]*$", "^[a-zA-Z_][a-zA-Z0-9_]*$"
local NAME_BYTES, VALUE_BYTES = 200, 256
local LABELS_MAX, BUCKETS_MAX = 16, 64
local BUILTIN_SERIES = 1000 -- of one of the plugin's own: types of events, consumers, plugins
local RESERVED = "^iu_"
local OTHER = "(other)"
local SECONDS = { 0.00001, 0.00005, 0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10 } -- bounds where none are given
local NONE = {}

local function invalid(message, ...)
  return nil, iu.errors.new("ValidationError", message:format(...))
end

local function is_finite(value)
  return type(value) == "number" and value == value and value ~= math.huge and value ~= -math.huge
end

local function shown(value)
  return type(value) == "number" and tostring(value) or type(value)
end

-- Series ---------------------------------------------------------------------------------------------------------------

---@class inner_universe.metrics.Counter
---@field value number
local Counter = { __name = "inner_universe.metrics.Counter" }
Counter.__index = Counter

---@param n? number 0 or more [1]
---@return true?, inner_universe.Error?
function Counter:add(n)
  if n == nil then
    n = 1
  elseif not is_finite(n) or n < 0 then
    return invalid("%s: add: a number from 0 expected, got %s", self.family.name, shown(n))
  end
  local sum = self.value + n
  self.value = sum < self.value and self.value + (n + 0.0) or sum -- integers end at 2^63; a counter never falls
  return true
end

---@class inner_universe.metrics.Gauge
---@field value number
local Gauge = { __name = "inner_universe.metrics.Gauge" }
Gauge.__index = Gauge

---@param value number
---@return true?, inner_universe.Error?
function Gauge:set(value)
  if type(value) ~= "number" then return invalid("%s: set: a number expected, got %s", self.family.name, type(value)) end
  self.value = value
  return true
end

---@param n? number [1]
---@return true?, inner_universe.Error?
function Gauge:add(n)
  if n == nil then n = 1 end
  if type(n) ~= "number" then return invalid("%s: add: a number expected, got %s", self.family.name, type(n)) end
  local sum = self.value + n
  local wrapped = math.type(sum) == "integer" and (sum < self.value) ~= (n < 0)
  self.value = wrapped and self.value + (n + 0.0) or sum
  return true
end

---@class inner_universe.metrics.Histogram
---@field count integer
---@field sum number
local Histogram = { __name = "inner_universe.metrics.Histogram" }
Histogram.__index = Histogram

---@param value number
---@return true?, inner_universe.Error?
function Histogram:observe(value)
  if not is_finite(value) then return invalid("%s: observe: a number expected, got %s", self.family.name, shown(value)) end
  local bounds = self.bounds
  local low, high = 1, #bounds + 1
  while low < high do
    local middle = (low + high) // 2
    if value <= bounds[middle] then high = middle else low = middle + 1 end
  end
  self.counts[low] = self.counts[low] + 1
  self.count = self.count + 1
  self.sum = self.sum + value
  return true
end

local MAKERS = {
  counter = function(family, labels) return setmetatable({ family = family, labels = labels, value = 0 }, Counter) end,
  gauge = function(family, labels) return setmetatable({ family = family, labels = labels, value = 0 }, Gauge) end,
  histogram = function(family, labels)
    local counts = {}
    for i = 1, #family.bounds + 1 do counts[i] = 0 end
    return setmetatable({ family = family, labels = labels, bounds = family.bounds, counts = counts, count = 0, sum = 0.0 }, Histogram)
  end,
}

-- Checks ---------------------------------------------------------------------------------------------------------------

local function check_name(name)
  if #name > NAME_BYTES or not name:find(NAME) then return invalid("name: letters, digits, _ and : expected, got '%s'", name:sub(1, 80)) end
  if name:find(RESERVED) then return invalid("name: those that begin with iu_ are the plugin's own, got '%s'", name) end
  return true
end

local function check_bounds(bounds)
  if #bounds < 1 or #bounds > BUCKETS_MAX then return invalid("buckets: 1 to %d numbers expected, got %d", BUCKETS_MAX, #bounds) end
  for key in pairs(bounds) do
    if math.type(key) ~= "integer" or key < 1 or key > #bounds then return invalid("buckets: an array expected, found the key %s", tostring(key)) end
  end
  for i, bound in ipairs(bounds) do
    if not is_finite(bound) then return invalid("buckets[%d]: a number expected, got %s", i, tostring(bound)) end
    if i > 1 and bound <= bounds[i - 1] then return invalid("buckets[%d]: more than %s expected, got %s", i, bounds[i - 1], bound) end
  end
  return true
end

local function label_names(labels)
  local names = {}
  for name in pairs(labels) do
    if type(name) ~= "string" or not name:find(LABEL) or name:find("^__") or name == "le" then
      return invalid("labels: letters, digits and _ expected as names, got '%s'", tostring(name))
    end
    names[#names + 1] = name
  end
  if #names > LABELS_MAX then return invalid("labels: at most %d expected, got %d", LABELS_MAX, #names) end
  table.sort(names)
  return names
end

local ESCAPES = { ["\\"] = "\\\\", ["\n"] = "\\n", ['"'] = '\\"' }

-- `a="x",b="y"`: what a series is known by, and printed with.
local function text_of(names, labels)
  local parts = {}
  for i, name in ipairs(names) do
    local value = labels[name]
    if value == nil then return invalid("labels: this metric has the label '%s', too", name) end
    local kind = type(value)
    if kind ~= "string" and kind ~= "number" and kind ~= "boolean" then return invalid("labels.%s: a text expected, got %s", name, kind) end
    value = tostring(value)
    if #value > VALUE_BYTES then return invalid("labels.%s: at most %d bytes expected, got %d", name, VALUE_BYTES, #value) end
    if not utf8.len(value) then return invalid("labels.%s: UTF-8 expected", name) end
    parts[i] = ('%s="%s"'):format(name, value:gsub('[\\\n"]', ESCAPES))
  end
  return table.concat(parts, ",")
end

local function same(a, b)
  if #a ~= #b then return false end
  for i = 1, #a do
    if a[i] ~= b[i] then return false end
  end
  return true
end

local PARTS = { "_bucket", "_sum", "_count" } -- of a histogram: names of samples that nobody else may have

local function check_parts(families, name, kind)
  for _, part in ipairs(PARTS) do
    local whole = name:sub(-#part) == part and families[name:sub(1, -#part - 1)]
    if whole and whole.kind == "histogram" then return invalid("%s: the histogram %s has samples of that name", name, whole.name) end
    if kind == "histogram" and families[name .. part] then return invalid("%s: its samples would be called as %s is", name, name .. part) end
  end
  return true
end

-- The registry ---------------------------------------------------------------------------------------------------------

---@param limits { metrics: integer, series: integer }
function registry.new(limits)
  local self = { overflowed = 0 }
  local families, own = {}, 0

  local function other(family)
    if family.other then return family.other end
    local values = {}
    for _, name in ipairs(family.names) do values[name] = OTHER end
    family.other = family.make(family, (text_of(family.names, values)))
    return family.other
  end

  local function series(family, labels, most)
    local text, err = text_of(family.names, labels)
    if not text then return nil, err end
    local found = family.series[text]
    if found then return found end
    if family.count >= most then
      self.overflowed = self.overflowed + 1
      return other(family)
    end
    found = family.make(family, text)
    family.series[text] = found
    family.count = family.count + 1
    return found
  end

  --- The series of a metric with these labels; made when it is not there. nil, err: a name or labels that cannot be, another kind of metric of the name,
  --- other labels than it has, or a metric too many.
  ---@return table? series, inner_universe.Error? err
  function self.get(kind, name, labels, help, bounds)
    local ok, err = check_name(name)
    if not ok then return nil, err end
    labels = labels or NONE
    local names
    names, err = label_names(labels)
    if not names then return nil, err end
    local family = families[name]
    if not family then
      if own >= limits.metrics then
        return nil, iu.errors.new("OverloadedError", ("%s: more than %d metrics (max_metrics)"):format(name, limits.metrics))
      end
      if bounds then
        ok, err = check_bounds(bounds)
        if not ok then return nil, err end
        bounds = table.move(bounds, 1, #bounds, 1, {})
      end
      ok, err = text_of(names, labels) -- before anything is made
      if ok then ok, err = check_parts(families, name, kind) end
      if not ok then return nil, err end
      if help and not utf8.len(help) then return invalid("help: UTF-8 expected") end
      family = { name = name, kind = kind, help = help, names = names, series = {}, count = 0, make = MAKERS[kind], bounds = bounds or SECONDS }
      families[name] = family
      own = own + 1
    end
    if family.kind ~= kind then return invalid("%s is a %s, no %s", name, family.kind, kind) end
    if bounds and not same(family.bounds, bounds) then return invalid("%s: buckets: it has others already", name) end
    if not same(family.names, names) then
      return invalid("%s: the labels { %s } expected, got { %s }", name, table.concat(family.names, ", "), table.concat(names, ", "))
    end
    return series(family, labels, limits.series)
  end

  --- A metric of the plugin's own: `:with(labels)` is a series; `:begin()` forgets all of them, for those that are told anew each time.
  function self.builtin(kind, name, help, names, bounds)
    local family = { name = name, kind = kind, help = help, names = names or NONE, series = {}, count = 0, make = MAKERS[kind], bounds = bounds or SECONDS }
    families[name] = family
    function family.with(labels) return series(family, labels or NONE, BUILTIN_SERIES) or other(family) end -- a value that no label can be: (other), too
    function family.put(value, labels)
      local one = type(value) == "number" and family.with(labels)
      if one then one.value = value end
    end
    function family.begin() family.series, family.count, family.other = {}, 0, nil end
    return family
  end

  ---@return table? family
  function self.find(name) return families[name] end

  --- Each metric and its series, in order.
  ---@return { family: table, series: table[] }[]
  function self.all()
    local list = {}
    for _, family in pairs(families) do
      local all = {}
      for _, one in pairs(family.series) do all[#all + 1] = one end
      if family.other then all[#all + 1] = family.other end
      table.sort(all, function(a, b) return a.labels < b.labels end)
      list[#list + 1] = { family = family, series = all }
    end
    table.sort(list, function(a, b) return a.family.name < b.family.name end)
    return list
  end

  --- Which series has these labels, or nil.
  function self.look(name, labels)
    local family = families[name]
    local text = family and text_of(family.names, labels or NONE)
    return text and (family.series[text] or (family.other and family.other.labels == text and family.other)) or nil
  end

  return self
end

return registry
