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

local DIRECT = 64 -- elements up to which an array is always changed as it is

-- Writers ----------------------------------------------------------------------------------------------------------

-- own(parent, key, child): the child as it may be changed. adopt(v): a value of an operation as it enters the state. change(t, key, v): t[key] = v.
-- save(items): before an array is changed as a whole. seen(op, old): told of each operation before it is done: the value it replaces or takes away
-- (nil: none), for an insert the index.
--
-- A long array that elements are inserted into or removed from more than once lies in pieces (splice.lua) until all is done: open[items] has them, while the
-- table `items` itself is as it was. What reads or changes an array asks there first; `settle` puts together what lies in a value.
local function nobody() end

local function new_writer()
  return { open = {}, met = {}, save = nobody, undo = nobody, seen = nobody }
end

local function length(t, writer)
  local s = writer.open[t]
  return s and s.count or #t
end

local function fetch(t, key, writer)
  local s = writer.open[t]
  if s then return splice.get(s, key) end
  return t[key]
end

local function put_together(t, writer)
  splice.close(writer.open[t], t)
  writer.open[t] = nil
end

-- A value whose arrays are all in one piece.
local function settle(v, writer)
  if type(v) ~= "table" or next(writer.open) == nil then return v end
  if writer.open[v] then put_together(v, writer) end
  for _, inner in pairs(v) do settle(inner, writer) end
  return v
end

local function copying()
  local owned = {}
  local writer = new_writer()
  function writer.own(parent, key, child)
    if owned[child] then return child end
    local copy = value.shallow(child)
    owned[copy] = true
    if parent then writer.change(parent, key, copy) end
    return copy
  end
  function writer.adopt(v) return v end
  function writer.change(t, key, v)
    local s = writer.open[t]
    if s then splice.set(s, key, v) else t[key] = v end
  end
  return writer
end

local function in_place()
  local log = {}
  local writer = new_writer()
  function writer.own(_, _, child) return child end
  writer.adopt = value.copy -- the operations may be applied again, to another state
  function writer.change(t, key, v)
    local s = writer.open[t]
    if s then
      splice.set(s, key, v)
      return
    end
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
local function key_of(container, segment, writer)
  local what = kind(container)
  if what == "object" then
    if container[segment] == nil then return nil, ('there is no member "%s"'):format(segment) end
    return segment
  end
  if what ~= "array" then return nil, ('"%s" leads into a value that is no container: %s'):format(segment, value.text(container)) end
  local index = path.index(segment)
  if not index then return nil, ('expected an index of an array, got "%s"'):format(segment) end
  local count = length(container, writer)
  if index >= count then return nil, ("index %d is past the end of an array of %d"):format(index, count) end
  return index + 1
end

---The value that `count` segments lead to, or nil and why there is none.
---@param root any
---@param segments string[]
---@param count integer
---@param writer table
---@return any, string?
function apply.get(root, segments, count, writer)
  for i = 1, count do
    local key, why = key_of(root, segments[i], writer)
    if key == nil then return nil, why end
    root = value.plain(fetch(root, key, writer))
  end
  return root
end

-- The child at a key as it may be changed: a document that lies in the state gives way to its tables.
local function child_of(container, key, writer)
  local child = fetch(container, key, writer)
  local plain = value.plain(child)
  if not rawequal(plain, child) then writer.change(container, key, plain) end
  return plain
end

-- The container at `count` segments, ready to be changed: the root as it is afterwards, and the container.
local function open(root, segments, count, writer)
  if not kind(root) then return nil, ("the state is no container: %s"):format(value.text(root)) end
  root = writer.own(nil, nil, root)
  local at = root
  for i = 1, count do
    local key, why = key_of(at, segments[i], writer)
    if key == nil then return nil, why end
    local child = child_of(at, key, writer)
    if not kind(child) then return nil, ('"%s" is no container: %s'):format(segments[i], value.text(child)) end
    at = writer.own(at, key, child)
  end
  return root, at
end

-- Operations -------------------------------------------------------------------------------------------------------

-- Puts v at the path, whose last segment need not be there yet if its container is an object.
local function put(root, op, v, writer)
  local segments = op.segments
  local count = #segments
  if count == 0 then
    writer.seen(op, settle(root, writer))
    return v
  end
  local new_root, container = open(root, segments, count - 1, writer)
  if new_root == nil then return nil, container end
  local key, why = segments[count], nil
  if kind(container) == "array" then key, why = key_of(container, key, writer) end
  if key == nil then return nil, why end
  writer.seen(op, settle(fetch(container, key, writer), writer))
  writer.change(container, key, v)
  return new_root
end

local merge

local function merge_members(object, patch, writer)
  for key, v in pairs(patch) do
    local old = child_of(object, key, writer)
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
  local key, why = key_of(container, segments[count], writer)
  if key == nil then return nil, why end
  writer.seen(op, settle(container[key], writer))
  writer.change(container, key, nil)
  return new_root
end

function one.patch(root, op, writer)
  local old, why = apply.get(root, op.segments, #op.segments, writer)
  if old == nil then return nil, why end
  if type(old) == "string" then
    if next(op.patch) ~= nil and kind(op.patch) ~= "array" then return nil, "patch: expected a list of edits for a string" end
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

-- The pieces of an array that is about to lose or gain an element; nil when it is changed as it is: a short one, and a long one the first time.
local function pieces_of(items, writer)
  local s = writer.open[items]
  if s or #items <= DIRECT then return s end
  if not writer.met[items] then
    writer.met[items] = true
    return nil
  end
  writer.save(items)
  s = splice.open(items)
  writer.open[items] = s
  return s
end

-- The root, and the array at an operation's path with its number of elements.
local function open_array(root, op, writer)
  local new_root, items = open(root, op.segments, #op.segments, writer)
  if new_root == nil then return nil, items end
  if kind(items) ~= "array" then return nil, ("expected an array there, got %s"):format(value.text(items)) end
  if not getmetatable(items) then core.array(items) end -- it may become empty
  local count = length(items, writer)
  local limit = op.op == "insert" and count or count - 1
  if op.index and op.index > limit then
    return nil, ("index: %d, expected at most %d (the array has %d element%s)"):format(op.index, limit, count, count == 1 and "" or "s")
  end
  return new_root, items, count
end

function one.insert(root, op, writer)
  local new_root, items, count = open_array(root, op, writer)
  if new_root == nil then return nil, items end
  local at, v, s = op.index or count, writer.adopt(op.value), pieces_of(items, writer)
  writer.seen(op, at)
  if s then
    splice.insert(s, at + 1, v)
  else
    writer.save(items)
    table.insert(items, at + 1, v)
  end
  return new_root
end

function one.remove(root, op, writer)
  local new_root, items = open_array(root, op, writer)
  if new_root == nil then return nil, items end
  local s = pieces_of(items, writer)
  if s then
    writer.seen(op, settle(splice.remove(s, op.index + 1), writer))
  else
    writer.save(items)
    writer.seen(op, settle(table.remove(items, op.index + 1), writer))
  end
  return new_root
end

---Applies one operation of a list that operations.read gave. The new root, whose arrays may lie in the writer's pieces; or nil and a ValidationError.
---@param root any
---@param op table
---@param i integer which one of its list it is
---@param writer table
---@return any, inner_universe.Error?
function apply.step(root, op, i, writer)
  local why
  root, why = one[op.op](root, op, writer)
  if root == nil then return operations.refuse(i, op, "%s", why) end
  return root
end

---Applies `first` to `last` of a list that operations.read gave. The new root, or nil and a ValidationError.
---@param root any
---@param list table[]
---@param first integer
---@param last integer
---@param writer table
---@return any, inner_universe.Error?
function apply.range(root, list, first, last, writer)
  for i = first, last do
    local err
    root, err = apply.step(root, list[i], i, writer)
    if root == nil then return nil, err end
  end
  for items in pairs(writer.open) do put_together(items, writer) end
  return root
end

---Walks a copy of `root` through the whole list. seen(op, old): as a writer's. The new root, or nil and a ValidationError.
---@param root any
---@param list table[]
---@param seen fun(op: table, old: any)
---@return any, inner_universe.Error?
function apply.watched(root, list, seen)
  local writer = copying()
  writer.seen = seen
  return apply.range(root, list, 1, #list, writer)
end

apply.copying = copying
apply.in_place = in_place
apply.settle = settle

return apply
