-- Operations applied to Lua values. Two writers: one copies each container before it changes it for the first time, so that the result shares with the
-- old state what did not change; one changes the state itself and keeps what it takes to go back when a later operation does not fit.

local core = require("inner_universe.runtime").core
local operations = require("inner_universe.diff.operations")
local path = require("inner_universe.diff.path")
local splice = require("inner_universe.diff.splice")
local text_edit = require("inner_universe.diff.text_edit")
local value = require("inner_universe.diff.value")

local apply = {}

local kind = value.kind

-- Writers ----------------------------------------------------------------------------------------------------------

-- own(parent, key, child): the child as it may be changed. adopt(v): a value of an operation as it enters the state. change(t, key, v): t[key] = v.
-- save(items): before an array is changed as a whole. seen(op, old): told of each operation before it is done: the value it replaces or takes away
-- (nil: none), for an insert the index.
local function nobody() end

local function copying()
  local owned = {}
  local writer = {}
  function writer.own(parent, key, child)
    if owned[child] then return child end
    local copy = value.shallow(child)
    owned[copy] = true
    if parent then parent[key] = copy end
    return copy
  end
  function writer.adopt(v) return v end
  function writer.change(t, key, v) t[key] = v end
  writer.save, writer.undo, writer.seen = nobody, nobody, nobody
  return writer
end

local function in_place()
  local log = {}
  local writer = { seen = nobody }
  function writer.own(_, _, child) return child end
  writer.adopt = value.copy -- the operations may be applied again, to another state
  function writer.change(t, key, v)
    log[#log + 1] = { t, key, t[key] }
    t[key] = v
  end
  function writer.save(items)
    log[#log + 1] = { items, value.shallow(items) }
  end
  function writer.undo()
    for i = #log, 1, -1 do
      local t, key, old = log[i][1], log[i][2], log[i][3]
      if type(key) == "table" then
        for k in pairs(t) do t[k] = nil end
        for k, v in pairs(key) do t[k] = v end
      else
        t[key] = old
      end
    end
  end
  return writer
end

-- Reading ----------------------------------------------------------------------------------------------------------

-- Where a segment leads in a container: its key in the Lua table, or nil and why not.
local function key_of(container, segment)
  local what = kind(container)
  if what == "object" then
    if container[segment] == nil then return nil, ('there is no member "%s"'):format(segment) end
    return segment
  end
  if what ~= "array" then return nil, ('"%s" leads into a value that is no container: %s'):format(segment, value.text(container)) end
  local index = path.index(segment)
  if not index then return nil, ('expected an index of an array, got "%s"'):format(segment) end
  if index >= #container then return nil, ("index %d is past the end of an array of %d"):format(index, #container) end
  return index + 1
end

---The value that `count` segments lead to, or nil and why there is none.
---@param root any
---@param segments string[]
---@param count integer
---@return any, string?
function apply.get(root, segments, count)
  for i = 1, count do
    local key, why = key_of(root, segments[i])
    if key == nil then return nil, why end
    root = root[key]
  end
  return root
end

-- The container at `count` segments, ready to be changed: the root as it is afterwards, and the container.
local function open(root, segments, count, writer)
  if not kind(root) then return nil, ("the state is no container: %s"):format(value.text(root)) end
  root = writer.own(nil, nil, root)
  local at = root
  for i = 1, count do
    local key, why = key_of(at, segments[i])
    if key == nil then return nil, why end
    if not kind(at[key]) then return nil, ('"%s" is no container: %s'):format(segments[i], value.text(at[key])) end
    at = writer.own(at, key, at[key])
  end
  return root, at
end

-- Operations -------------------------------------------------------------------------------------------------------

-- Puts v at the path, whose last segment need not be there yet if its container is an object.
local function put(root, op, v, writer)
  local segments = op.segments
  local count = #segments
  if count == 0 then
    writer.seen(op, root)
    return v
  end
  local new_root, container = open(root, segments, count - 1, writer)
  if new_root == nil then return nil, container end
  local key, why = segments[count], nil
  if kind(container) == "array" then key, why = key_of(container, key) end
  if key == nil then return nil, why end
  writer.seen(op, container[key])
  writer.change(container, key, v)
  return new_root
end

local merge

local function merge_members(object, patch, writer)
  for key, v in pairs(patch) do
    local old = object[key]
    if v == core.null then
      if old ~= nil then writer.change(object, key, nil) end
    elseif kind(v) == "object" then
      merge(object, key, old, v, writer)
    else
      writer.change(object, key, writer.adopt(v))
    end
  end
end

-- RFC 7386: what is no object becomes one first.
merge = function(parent, key, old, patch, writer)
  if kind(old) == "object" then
    merge_members(writer.own(parent, key, old), patch, writer)
    return
  end
  local fresh = core.object()
  writer.change(parent, key, fresh)
  merge_members(writer.own(parent, key, fresh), patch, writer)
end

local one = {}

function one.set(root, op, writer)
  return put(root, op, writer.adopt(op.value), writer)
end

function one.delete(root, op, writer)
  local segments = op.segments
  local count = #segments
  if count == 0 then return nil, "the root cannot be deleted" end
  local new_root, container = open(root, segments, count - 1, writer)
  if new_root == nil then return nil, container end
  if kind(container) ~= "object" then return nil, "expected a member of an object (elements of an array are removed)" end
  local key, why = key_of(container, segments[count])
  if key == nil then return nil, why end
  writer.seen(op, container[key])
  writer.change(container, key, nil)
  return new_root
end

function one.patch(root, op, writer)
  local old, why = apply.get(root, op.segments, #op.segments)
  if old == nil then return nil, why end
  if type(old) == "string" then
    if kind(op.patch) ~= "array" then return nil, "patch: expected a list of edits for a string" end
    local text
    text, why = text_edit.apply(old, op.patch)
    if not text then return nil, why end
    return put(root, op, text, writer)
  end
  if kind(old) ~= "object" then return nil, ("expected a string or an object there, got %s"):format(value.text(old)) end
  if kind(op.patch) ~= "object" then return nil, "patch: expected an object, for an object" end
  local new_root, object = open(root, op.segments, #op.segments, writer)
  writer.seen(op, old)
  merge_members(object, op.patch, writer)
  return new_root
end

-- Insertions and removals, a run of them in one array: `first` to `last` of the list.
local function check_index(list, i, count)
  local op = list[i]
  local limit = op.op == "insert" and count or count - 1
  if op.index and op.index > limit then
    return operations.refuse(i, op, "index: %d, expected at most %d (the array has %d element%s)", op.index, limit, count, count == 1 and "" or "s")
  end
  return true
end

local function run_of_one(items, list, i, writer)
  local ok, err = check_index(list, i, #items)
  if not ok then return nil, err end
  writer.save(items)
  local op = list[i]
  if op.op == "remove" then
    writer.seen(op, table.remove(items, op.index + 1))
  else
    writer.seen(op, op.index or #items)
    table.insert(items, (op.index or #items) + 1, writer.adopt(op.value))
  end
  return true
end

local function run_of_many(items, list, first, last, writer)
  local s = splice.open(items, math.min(list[first].index or #items, #items))
  for i = first, last do
    local op = list[i]
    local ok, err = check_index(list, i, splice.count(s))
    if not ok then return nil, err end
    if op.op == "remove" then
      writer.seen(op, splice.remove(s, op.index))
    else
      local at = op.index or splice.count(s)
      writer.seen(op, at)
      splice.insert(s, at, writer.adopt(op.value))
    end
  end
  writer.save(items)
  splice.close(s, items)
  return true
end

local function run(root, list, first, last, writer)
  local op = list[first]
  local new_root, items = open(root, op.segments, #op.segments, writer)
  if new_root == nil then return operations.refuse(first, op, "%s", items) end
  if kind(items) ~= "array" then return operations.refuse(first, op, "expected an array there, got %s", value.text(items)) end
  if not getmetatable(items) then core.array(items) end -- it may become empty
  local ok, err
  if first == last then ok, err = run_of_one(items, list, first, writer) else ok, err = run_of_many(items, list, first, last, writer) end
  if not ok then return nil, err end
  return new_root
end

local function in_arrays(op) return op.op == "insert" or op.op == "remove" end

---Applies `first` to `last` of a list that operations.read gave. The new root, or nil and a ValidationError.
---@param root any
---@param list table[]
---@param first integer
---@param last integer
---@param writer table
---@return any, inner_universe.Error?
function apply.range(root, list, first, last, writer)
  local i = first
  while i <= last do
    local op = list[i]
    if in_arrays(op) then
      local stop = i
      while stop < last and in_arrays(list[stop + 1]) and list[stop + 1].path == op.path do stop = stop + 1 end
      local err
      root, err = run(root, list, i, stop, writer)
      if root == nil then return nil, err end
      i = stop
    else
      local why
      root, why = one[op.op](root, op, writer)
      if root == nil then return operations.refuse(i, op, "%s", why) end
    end
    i = i + 1
  end
  return root
end

apply.copying = copying
apply.in_place = in_place

return apply
