-- paths.lua: dotted paths into JSON values, as configured: keys, indexes of arrays from 0, `*` for any of either.

local iu = require "inner_universe"

local paths = {}

local ARRAY = getmetatable(iu.array {})

function paths.is_array(value)
  return getmetatable(value) == ARRAY
end

-- Segments of a path, or nil and what is wrong.
local function parse(text, root)
  if type(text) ~= "string" or text == "" then return nil, ("expected a path, got %s"):format(type(text)) end
  local segments, err = iu.diff.segments(text)
  if not segments then return nil, ("`%s` %s"):format(text, err.message or tostring(err)) end
  if root then
    if segments[1] ~= root or #segments < 2 then return nil, ("`%s`: expected a path below `%s`"):format(text, root) end
    table.remove(segments, 1)
  end
  return segments
end

--- Whether a value at one can hold, or be, a value at the other.
local function overlap(a, b)
  for i = 1, math.min(#a, #b) do
    if a[i] ~= b[i] and a[i] ~= "*" and b[i] ~= "*" then return false end
  end
  return true
end

--- An array of paths as patterns { text, segments }, in which `root` is left out; nil and what is wrong.
---@param list any
---@param root? string what every path must begin with
---@return { text: string, segments: string[] }[]? patterns
---@return string? wrong
function paths.patterns(list, root)
  if type(list) ~= "table" then return nil, ("expected an array of paths, got %s"):format(type(list)) end
  local out = {}
  for key in pairs(list) do
    if math.type(key) ~= "integer" or key < 1 or key > #list then return nil, ("expected an array of paths, found the key %s"):format(tostring(key)) end
  end
  for i = 1, #list do
    local segments, wrong = parse(list[i], root)
    if not segments then return nil, wrong end
    for _, other in ipairs(out) do
      if overlap(other.segments, segments) then return nil, ("`%s` and `%s` overlap"):format(other.text, list[i]) end
    end
    out[i] = { text = list[i], segments = segments }
  end
  return out
end

--- The pattern that the field of a filter or an order lies in, or around; nil: none. root: what the patterns lie below, "properties" or "data".
function paths.touching(field, patterns, root)
  local segments = iu.diff.segments(field)
  if not segments then return nil end
  if segments[1] == "metadata" then table.remove(segments, 1) end
  if segments[1] ~= root then return nil end
  table.remove(segments, 1)
  for _, pattern in ipairs(patterns) do
    if overlap(segments, pattern.segments) then return pattern end
  end
end

local function keys_for(container, segment)
  if segment == "*" then
    local keys = {}
    for key in pairs(container) do keys[#keys + 1] = key end
    return keys
  end
  if not paths.is_array(container) then return { segment } end
  local index = iu.diff.index(segment)
  return { index and index + 1 }
end

local function visit(container, segments, at, path, fn)
  for _, key in ipairs(keys_for(container, segments[at])) do
    local value = container[key]
    if value ~= nil then
      local here = iu.diff.join(path, paths.is_array(container) and key - 1 or key)
      local ok, err = true, nil
      if at == #segments then
        ok, err = fn(container, key, here)
      elseif type(value) == "table" then
        ok, err = visit(value, segments, at + 1, here, fn)
      end
      if not ok then return nil, err end
    end
  end
  return true
end

--- fn(container, key, path) for each value that is there at one of the patterns; it may replace container[key]. true, or the first nil, err of fn.
function paths.each(value, patterns, root, fn)
  if type(value) ~= "table" then return true end
  for _, pattern in ipairs(patterns) do
    local ok, err = visit(value, pattern.segments, 1, root, fn)
    if not ok then return nil, err end
  end
  return true
end

return paths
