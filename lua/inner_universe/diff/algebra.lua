-- Lists of operations turned around and joined.

local core = require("inner_universe.runtime").core
local apply = require("inner_universe.diff.apply")
local operations = require("inner_universe.diff.operations")
local path = require("inner_universe.diff.path")
local text_edit = require("inner_universe.diff.text_edit")
local value = require("inner_universe.diff.value")

local algebra = {}

local LOOK_BACK = 64 -- operations that compose looks back over for one that the next can be joined with

-- Turning around ---------------------------------------------------------------------------------------------------

-- What a merge patch did to an object, undone member by member.
local function unmerge(out, at, old, patch)
  for key, v in pairs(patch) do
    local before, where = old[key], path.join(at, key)
    if before == nil then
      if v ~= core.null then out[#out + 1] = { op = "delete", path = where } end
    elseif value.kind(v) == "object" and value.kind(before) == "object" then
      unmerge(out, where, before, v)
    else
      out[#out + 1] = { op = "set", path = where, value = before }
    end
  end
end

local undo = {}

function undo.set(out, op, old)
  if old == nil then
    out[#out + 1] = { op = "delete", path = op.path }
  else
    out[#out + 1] = { op = "set", path = op.path, value = old }
  end
end

undo.delete = undo.set

function undo.insert(out, op, index)
  out[#out + 1] = { op = "remove", path = op.path, index = index }
end

function undo.remove(out, op, old)
  out[#out + 1] = { op = "insert", path = op.path, index = op.index, value = old }
end

-- A string's patch is told as the replacement it ends in: `old` is the whole text.
function undo.patch(out, op, old)
  if type(old) == "string" then
    out[#out + 1] = { op = "patch", path = op.path, patch = core.array(text_edit.invert(old, op.patch)) }
  else
    unmerge(out, op.path, old, op.patch)
  end
end

---The operations that lead back from what `list` makes of `old`.
---@param list table[] as operations.read gives it
---@param old any
---@return inner_universe.Operation[]?, inner_universe.Error?
function algebra.invert(list, old)
  local back = {}
  local root, err = apply.watched(old, list, function(op, before) undo[op.op](back, op, before) end)
  if root == nil then return nil, err end
  for i = 1, #back // 2 do back[i], back[#back - i + 1] = back[#back - i + 1], back[i] end
  return back
end

-- Joining ----------------------------------------------------------------------------------------------------------

local function starts_with(segments, prefix, count)
  if #segments < count then return false end
  for i = 1, count do
    if segments[i] ~= prefix[i] then return false end
  end
  return true
end

-- Where the value lies that an operation puts somewhere: its path, taken apart; nil for what puts no known value.
local function place_of(op)
  if op.op == "set" then return op.segments end
  if op.op == "insert" and op.index then
    local segments = table.move(op.segments, 1, #op.segments, 1, {})
    segments[#segments + 1] = tostring(op.index)
    return segments
  end
  return nil
end

-- May `later` be done before `op`, without either meaning something else? Only where neither touches what the other walks through.
local function independent(op, later)
  local a, b = op.segments, later.segments
  local shared = math.min(#a, #b)
  return not (starts_with(a, b, shared) and starts_with(b, a, shared))
end

-- `later` happens inside a value that `op` puts: applied to that value. nil when it does not fit.
local function folded(op, later, place)
  local inner = {
    op = later.op, path = "", segments = table.move(later.segments, #place + 1, #later.segments, 1, {}),
    index = later.index, value = later.value, patch = later.patch,
  }
  if #inner.segments == 0 and later.op == "delete" then return nil end
  local result = apply.range(op.value, { inner }, 1, 1, apply.copying())
  if result == nil then return nil end
  return { op = op.op, path = op.path, segments = op.segments, index = op.index, value = result }
end

-- What the two make together: an operation, false for nothing at all, nil when they stay two.
local function joined(op, later)
  local place = place_of(op)
  if op.op == "insert" and later.op == "remove" and op.path == later.path and op.index == later.index then return false end
  if place and starts_with(later.segments, place, #place) then return folded(op, later, place) end
  if op.path ~= later.path then return nil end
  if later.op == "set" and (op.op == "patch" or op.op == "delete") then return later end
  if later.op == "delete" and op.op == "patch" then return later end
  return nil
end

local function add(out, later)
  for i = #out, math.max(1, #out - LOOK_BACK + 1), -1 do
    local op = out[i]
    local both = joined(op, later)
    if both == false then
      table.remove(out, i)
      return
    end
    if both then
      out[i] = both
      return
    end
    if not independent(op, later) then break end
  end
  out[#out + 1] = later
end

---One list that does what both do, one after the other; shorter than both together where operations meet in one place.
---@param first table[] as operations.read gives it
---@param second table[]
---@return inner_universe.Operation[]
function algebra.compose(first, second)
  local out = table.move(first, 1, #first, 1, {})
  for _, op in ipairs(second) do add(out, op) end
  return operations.plain(out)
end

return algebra
