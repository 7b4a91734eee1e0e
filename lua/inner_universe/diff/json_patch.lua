-- JSON Patch (RFC 6902) and JSON Merge Patch (RFC 7386), there and back. JSON Pointers and our paths both leave open whether a number is an index or a key,
-- so both ways read the state that the operations are for.

local core = require("inner_universe.runtime").core
local errors = require("inner_universe.errors")
local apply = require("inner_universe.diff.apply")
local operations = require("inner_universe.diff.operations")
local path = require("inner_universe.diff.path")
local text_edit = require("inner_universe.diff.text_edit")
local value = require("inner_universe.diff.value")

local json_patch = {}

local function refuse(i, op, message, ...)
  local name = type(op) == "table" and type(op.op) == "string" and " " .. op.op or ""
  local at = type(op) == "table" and type(op.path) == "string" and (' path "%s"'):format(op.path) or ""
  return nil, errors.new("ValidationError", ("patch[%d]%s%s: %s"):format(i, name, at, message:format(...)), { details = { operation = i } })
end

-- Pointers ---------------------------------------------------------------------------------------------------------

local function to_pointer(segments, last)
  local out = {}
  for _, segment in ipairs(segments) do out[#out + 1] = "/" .. segment:gsub("~", "~0"):gsub("/", "~1") end
  if last then out[#out + 1] = "/" .. last end
  return table.concat(out)
end

local function from_pointer(text)
  if type(text) ~= "string" then return nil, ("expected a JSON Pointer, got %s"):format(type(text)) end
  if text == "" then return {} end
  if text:byte(1) ~= 47 then return nil, "expected a JSON Pointer: empty, or beginning with /" end
  if text:find("~[^01]") or text:find("~$") then return nil, "a ~ in a JSON Pointer stands before 0 or 1" end
  local segments = {}
  for segment in text:gmatch("/([^/]*)") do segments[#segments + 1] = (segment:gsub("~1", "/"):gsub("~0", "~")) end
  return segments
end

-- To RFC 6902 ------------------------------------------------------------------------------------------------------

local to = {}

function to.set(out, op, old)
  out[#out + 1] = { op = old == nil and "add" or "replace", path = to_pointer(op.segments), value = op.value }
end

function to.delete(out, op)
  out[#out + 1] = { op = "remove", path = to_pointer(op.segments) }
end

function to.insert(out, op)
  out[#out + 1] = { op = "add", path = to_pointer(op.segments, op.index and tostring(op.index) or "-"), value = op.value }
end

function to.remove(out, op)
  out[#out + 1] = { op = "remove", path = to_pointer(op.segments, tostring(op.index)) }
end

local function below(segments, key)
  local inner = table.move(segments, 1, #segments, 1, {})
  inner[#inner + 1] = key
  return inner
end

local function merge_steps(out, segments, old, patch)
  for key, v in pairs(patch) do
    local before, inner = nil, below(segments, key)
    if old then before = old[key] end
    local name = before == nil and "add" or "replace"
    if v == core.null then
      if before ~= nil then out[#out + 1] = { op = "remove", path = to_pointer(inner) } end
    elseif value.kind(v) ~= "object" then
      out[#out + 1] = { op = name, path = to_pointer(inner), value = v }
    elseif value.kind(before) == "object" then
      merge_steps(out, inner, before, v)
    else
      out[#out + 1] = { op = name, path = to_pointer(inner), value = core.object() }
      merge_steps(out, inner, nil, v)
    end
  end
end

function to.patch(out, op, old)
  if type(old) == "string" then
    out[#out + 1] = { op = "replace", path = to_pointer(op.segments), value = text_edit.apply(old, op.patch) }
  else
    merge_steps(out, op.segments, old, op.patch)
  end
end

---The operations as RFC 6902 has them. `list` as operations.read gives it, `old` the state it is for.
---@param list table[]
---@param old any
---@return table[]?, inner_universe.Error?
function json_patch.to(list, old)
  local out = {}
  local root, err = apply.watched(old, list, function(op, before) to[op.op](out, op, before) end)
  if root == nil then return nil, err end
  return core.array(out)
end

-- From RFC 6902 ----------------------------------------------------------------------------------------------------

-- One of ours for "put v there": into an array it is an insertion.
local function added(root, segments, v, writer)
  local count = #segments
  local container, why = apply.get(root, segments, count - 1, writer)
  if count == 0 or value.kind(container) == "object" then
    return { op = "set", path = path.format(segments, 1, count), segments = segments, value = v }
  end
  if container == nil then return nil, why end
  if value.kind(container) ~= "array" then return nil, ("there is no container, but %s"):format(value.text(container)) end
  local last, index = segments[count], nil
  if last ~= "-" then
    index = path.index(last)
    if not index then return nil, ('expected an index of an array or "-", got "%s"'):format(last) end
  end
  segments = table.move(segments, 1, count - 1, 1, {})
  return { op = "insert", path = path.format(segments, 1, count - 1), segments = segments, index = index, value = v }
end

local function removed(root, segments, writer)
  local count = #segments
  if count == 0 then return nil, "the root cannot be removed" end
  local old, why = apply.get(root, segments, count, writer)
  if old == nil then return nil, why end
  if value.kind(apply.get(root, segments, count - 1, writer)) == "object" then
    return { op = "delete", path = path.format(segments, 1, count), segments = segments }
  end
  local index = path.index(segments[count])
  segments = table.move(segments, 1, count - 1, 1, {})
  return { op = "remove", path = path.format(segments, 1, count - 1), segments = segments, index = index }
end

local from = {}

function from.add(root, segments, op, writer) return { added(root, segments, op.value, writer) } end
function from.remove(root, segments, _, writer) return { removed(root, segments, writer) } end

function from.replace(root, segments, op, writer)
  local old, why = apply.get(root, segments, #segments, writer)
  if old == nil then return { nil, why } end
  return { { op = "set", path = path.format(segments, 1, #segments), segments = segments, value = op.value } }
end

-- A copy of its own of what is there: it is changed by what comes later.
local function taken(root, source, writer)
  local v, why = apply.get(root, source, #source, writer)
  if v == nil then return nil, "from: " .. why end
  return value.copy(apply.settle(v, writer))
end

function from.copy(root, segments, _, writer, source)
  local v, why = taken(root, source, writer)
  if v == nil then return { nil, why } end
  return { added(root, segments, v, writer) }
end

-- Two of ours; where the second goes is known when the first is done.
function from.move(root, segments, op, writer, source)
  local v, why = taken(root, source, writer)
  if v == nil then return { nil, why } end
  if op.path == op.from then return {} end
  if (op.path .. "/"):sub(1, #op.from + 1) == op.from .. "/" then return { nil, "from: a value cannot move into itself" } end
  local first
  first, why = removed(root, source, writer)
  if not first then return { nil, "from: " .. why } end
  return { first, nil, function(after) return added(after, segments, v, writer) end }
end

function from.test(root, segments, op, writer)
  local v, why = apply.get(root, segments, #segments, writer)
  if v == nil then return { nil, why } end
  if value.similar(apply.settle(v, writer), op.value) then return {} end
  return { nil, ("expected %s, found %s"):format(value.text(op.value), value.text(v)), conflict = true }
end

local NEEDS_VALUE = { add = true, replace = true, test = true }
local NEEDS_FROM = { copy = true, move = true }

local function read(i, op)
  if value.kind(op) ~= "object" then return refuse(i, op, "expected an object, got %s", value.text(op)) end
  if type(op.op) ~= "string" or not from[op.op] then
    return refuse(i, {}, "op: expected add, remove, replace, move, copy or test, got %s", tostring(op.op))
  end
  if NEEDS_VALUE[op.op] and op.value == nil then return refuse(i, op, "value: expected a value (iu.null for null), got nil") end
  local segments, source, why
  segments, why = from_pointer(op.path)
  if not segments then return refuse(i, op, "path: %s", why) end
  if NEEDS_FROM[op.op] then
    source, why = from_pointer(op.from)
    if not source then return refuse(i, op, "from: %s", why) end
  end
  return segments, source
end

---Our operations for a JSON Patch on `old`. Its `test`s are made here: what does not hold is a ConflictError.
---@param patch table[]
---@param old any
---@return inner_universe.Operation[]?, inner_universe.Error?
function json_patch.from(patch, old)
  local out, root, writer = {}, old, apply.copying()
  local function take(i, op, ours)
    local err
    out[#out + 1] = ours
    root, err = apply.step(root, ours, 1, writer)
    if root == nil then return refuse(i, op, "%s", err.message:gsub("^operations%[1%][^:]*: ", "")) end
    return true
  end
  for i, op in ipairs(patch) do
    local segments, source = read(i, op)
    if not segments then return nil, source end
    local steps = from[op.op](root, segments, op, writer, source)
    local ok, err
    if steps.conflict then
      ok, err = refuse(i, op, "%s", steps[2])
      return ok, errors.new("ConflictError", err.message, { details = err.details })
    end
    if steps[2] then return refuse(i, op, "%s", steps[2]) end
    if steps[1] then
      ok, err = take(i, op, steps[1])
      if not ok then return nil, err end
    end
    if steps[3] then
      local ours, why = steps[3](root)
      if not ours then return refuse(i, op, "%s", why) end
      ok, err = take(i, op, ours)
      if not ok then return nil, err end
    end
  end
  return operations.plain(out)
end

-- RFC 7386 ---------------------------------------------------------------------------------------------------------

-- What a merge patch makes of nothing: itself without the nulls.
local function without_nulls(patch)
  if value.kind(patch) ~= "object" then return patch end
  local out = core.object()
  for key, v in pairs(patch) do
    if v ~= core.null then out[key] = without_nulls(v) end
  end
  return out
end

local function merge_from(out, at, old, patch)
  for key, v in pairs(patch) do
    local before, where = old[key], path.join(at, key)
    if v == core.null then
      if before ~= nil then out[#out + 1] = { op = "delete", path = where } end
    elseif value.kind(v) == "object" and value.kind(before) == "object" then
      merge_from(out, where, before, v)
    else
      local new = without_nulls(v)
      if before == nil or not value.equal(before, new) then out[#out + 1] = { op = "set", path = where, value = new } end
    end
  end
end

---Our operations for a merge patch on `old`.
---@param patch any
---@param old any
---@return inner_universe.Operation[]
function json_patch.from_merge(patch, old)
  local out = {}
  if value.kind(patch) == "object" and value.kind(old) == "object" then
    merge_from(out, "", old, patch)
  else
    local new = without_nulls(patch)
    if not value.equal(old, new) then out[1] = { op = "set", path = "", value = new } end
  end
  return out
end

local function no_null(at)
  return nil, errors.new("ValidationError", ('a merge patch (RFC 7386) cannot set a member to null: path "%s"'):format(at))
end

-- A whole value as a merge patch sets it; nil where an object holds a null.
local function whole(v, at)
  if value.kind(v) ~= "object" then return v end
  for key, inner in pairs(v) do
    local where = path.join(at, key)
    if inner == core.null then return no_null(where) end
    local ok, err = whole(inner, where)
    if ok == nil then return nil, err end
  end
  return v
end

local function merge_to(old, new, at)
  local out = core.object()
  for key in pairs(old) do
    if new[key] == nil then out[key] = core.null end
  end
  for key, v in pairs(new) do
    local before, where = old[key], path.join(at, key)
    if before == nil or not value.equal(before, v) then
      local err
      if v == core.null then return no_null(where) end
      if value.kind(v) == "object" and value.kind(before) == "object" then
        out[key], err = merge_to(before, v, where)
      else
        out[key], err = whole(v, where)
      end
      if out[key] == nil then return nil, err end
    end
  end
  return out
end

---The merge patch that makes `new` of `old`; what it cannot say (a member that becomes null) is a ValidationError.
---@param old any
---@param new any
---@return any, inner_universe.Error?
function json_patch.to_merge(old, new)
  if value.kind(new) == "object" and value.kind(old) == "object" then return merge_to(old, new, "") end
  return whole(new, "")
end

return json_patch
