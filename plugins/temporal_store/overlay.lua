-- overlay.lua: an ordinary-looking table over an immutable document, which knows what was changed in it.
--
-- A proxy is an empty Lua table; what it stands for is a node: { base, own, array, count, ... }. `base` is the container of the document (nil for what was
-- put in as a table), `own` what lies over it: members that were changed, and nodes of containers that were visited. Nodes are shared as tables
-- are: the same one may lie in several places (table.insert puts every element in two for a moment), and a proxy that was taken out keeps its node.
--
-- What a container was at the last commit is in `was` (of the members that were changed since), `was_count`, `was_array`. A changed node is marked, and in
-- `touched` of every container that it lies in: so the walk for operations visits nothing else. `edited` stays: what is not edited is its base.

local iu = require "inner_universe"

local overlay = {}

local ABSENT, KIND = {}, {} -- no member; in place of a key: whether it is an array
local FEW = 16 -- changed elements that are told one by one
local UNDO_MAX = 100000 -- changes that are remembered for undo, of at least one step
local DEPTH_MAX = 512

local nodes = setmetatable({}, { __mode = "k" }) -- by proxy
local proxy_mt = {}

local is_document, kind_of = iu.json.is_document, iu.json.document_kind
local array_mt, object_mt = getmetatable(iu.array {}), getmetatable(iu.object {})

-- Nodes ------------------------------------------------------------------------------------------------------------

local function new_node(draft, base, array)
  if base then array = kind_of(base) == "array" end
  return { draft = draft, base = base, own = {}, array = array, count = array and (base and #base or 0) or nil }
end

-- A node's places: the first in itself, others in a list.
local function attach(node, parent, key)
  if node.parent == nil then
    node.parent, node.key = parent, key
  else
    node.more = node.more or {}
    node.more[#node.more + 1] = { parent, key }
  end
  if node.marked then
    parent.touched = parent.touched or {}
    parent.touched[node] = true
  end
end

local function detach(node, parent, key)
  local more = node.more
  if node.parent == parent and node.key == key then
    local other = more and table.remove(more)
    if other then node.parent, node.key = other[1], other[2] else node.parent, node.key = nil, nil end
  else
    for i = 1, more and #more or 0 do
      if more[i][1] == parent and more[i][2] == key then
        table.remove(more, i)
        break
      end
    end
  end
  if more and #more == 0 then node.more = nil end
end

local function each_place(node, fn)
  if node.parent then fn(node.parent, node.key) end
  for i = 1, node.more and #node.more or 0 do fn(node.more[i][1], node.more[i][2]) end
end

local mark
mark = function(node)
  if node.marked then return end
  node.marked, node.edited = true, true
  local dirty = node.draft.dirty
  dirty[#dirty + 1] = node
  each_place(node, function(parent)
    parent.touched = parent.touched or {}
    parent.touched[node] = true
    mark(parent)
  end)
end

-- What the base has at a key: a scalar, a document, or nil.
local function of_base(node, key)
  local base = node.base
  if base == nil then return nil end
  local v = base[key]
  if type(v) == "function" then return nil end -- a method of documents is no member
  return v
end

-- The same with what lies over it, ABSENT for none.
local function peek(node, key)
  local v = node.own[key]
  if v ~= nil then return v end
  v = of_base(node, key)
  if v == nil then return ABSENT end
  return v
end

-- The same, a container as its node.
local function raw(node, key)
  local v = peek(node, key)
  if type(v) ~= "userdata" or not is_document(v) then return v end
  local child = new_node(node.draft, v)
  node.own[key] = child
  attach(child, node, key)
  return child
end

local function same(a, b)
  if type(a) == "number" and type(b) == "number" then
    return math.type(a) == math.type(b) and a == b and (a ~= 0 or math.type(a) == "integer" or 1 / a == 1 / b)
  end
  return a == b
end

local function proxy_of(node)
  if not node.proxy then
    node.proxy = setmetatable({}, proxy_mt)
    nodes[node.proxy] = node
  end
  return node.proxy
end

local function shown(v)
  if v == ABSENT then return nil end
  if type(v) == "table" then return proxy_of(v) end
  return v
end

-- Values -----------------------------------------------------------------------------------------------------------

-- A node's value as a table of one's own, or as the document that it still is. old: as it was at the last commit.
local plain
plain = function(node, old)
  if node.base and not node.edited then return node.base end
  local was = old and node.was
  local function value_at(key)
    local v = was and was[key]
    if v == nil then v = peek(node, key) end
    if type(v) == "table" and v ~= ABSENT then v = plain(v, old) end
    return v
  end
  local array, count = node.array, node.count
  if was then array, count = node.was_array, node.was_count end
  if array then
    local out = iu.array {}
    for i = 1, count do out[i] = value_at(i) end
    return out
  end
  local out, own = iu.object {}, node.own
  local function add(key)
    local v = value_at(key)
    if v ~= ABSENT then out[key] = v end
  end
  for key in pairs(own) do
    if type(key) == "string" then add(key) end
  end
  if node.base and kind_of(node.base) == "object" then
    for key, v in pairs(node.base) do
      if own[key] == nil then out[key] = v end
    end
  end
  return out
end

-- What may stand in a state, as it is kept; level: of the error.
local import

local function import_table(draft, value, inside, level)
  if inside[value] then error("a state has no cycles", level) end
  inside[value] = true
  inside.depth = (inside.depth or 0) + 1
  if inside.depth > DEPTH_MAX then error(("nesting deeper than %d"):format(DEPTH_MAX), level) end
  local mt, first = getmetatable(value), next(value)
  local array = mt == array_mt or (mt ~= object_mt and first ~= nil and type(first) ~= "string")
  local node, length, found = new_node(draft, nil, array), #value, 0
  for key, v in pairs(value) do
    if array then
      if math.type(key) ~= "integer" or key < 1 or key > length then error(("an array has the keys 1..n, got %s"):format(tostring(key)), level) end
      found = found + 1
    elseif type(key) ~= "string" then
      error(("an object has strings as keys, got %s"):format(tostring(key)), level)
    end
    v = import(draft, v, inside, level + 1)
    node.own[key] = v
    if type(v) == "table" then attach(v, node, key) end
  end
  if array then
    if found ~= length then error("an array has no holes", level) end
    node.count = length
  end
  node.edited = true
  inside[value], inside.depth = nil, inside.depth - 1
  return node
end

local SCALARS = { string = true, boolean = true }

import = function(draft, value, inside, level)
  local kind = type(value)
  if SCALARS[kind] then return value end
  if kind == "number" then
    if value ~= value or value == math.huge or value == -math.huge then error(("%s is not a JSON value"):format(tostring(value)), level) end
    return value
  end
  if kind == "userdata" then
    if not is_document(value) then return value end
    if kind_of(value) then return new_node(draft, value) end
    return iu.json.totable(value)
  end
  if kind ~= "table" then error(("%s is not a JSON value"):format(kind), level) end
  local node = nodes[value]
  if not node then return import_table(draft, value, inside, level) end -- a tail call: no level of its own
  if node.draft ~= draft then -- another draft's: a copy
    local copy = plain(node)
    if is_document(copy) then return new_node(draft, copy) end
    return import_table(draft, copy, inside, level)
  end
  if inside.above == nil then -- the containers that the value is going into
    local above = {}
    local function climb(at)
      if above[at] then return end
      above[at] = true
      each_place(at, climb)
    end
    climb(inside.into)
    inside.above = above
  end
  if inside.above[node] then error("a state has no cycles", level) end
  return node
end

-- Changing ---------------------------------------------------------------------------------------------------------

-- Puts what was raw (a scalar, a node, ABSENT) at a key, or the kind; what was there before.
local function put(node, key, value)
  if not node.was then
    node.was, node.was_count, node.was_array = {}, node.count, node.array
  end
  mark(node)
  if key == KIND then
    local before = node.array
    node.array, node.count = value, value and 0 or nil
    return before
  end
  local before = raw(node, key)
  if node.was[key] == nil then node.was[key] = before end
  if type(before) == "table" and before ~= ABSENT then detach(before, node, key) end
  node.own[key] = value
  if type(value) == "table" and value ~= ABSENT then attach(value, node, key) end
  if node.array then
    if value == ABSENT then node.count = key - 1
    elseif key > node.count then node.count = key end
  end
  return before
end

-- A run of assignments in an array that each take over a neighbour, the way table.insert and table.remove shift, is one step of undo. Answers whether this
-- one goes on with the run.
local function in_shift(draft, node, key, value)
  local shift = draft.shift
  local goes_on = shift ~= nil and shift.node == node and key == shift.at + shift.by
  local by = goes_on and shift.by
  if not goes_on and node.array then
    if key == node.count + 1 then by = -1 elseif key < node.count then by = 1 end
  end
  local next_key = by and key + by
  local shifts = by and next_key >= 1 and next_key <= node.count and value ~= ABSENT and same(value, raw(node, next_key))
  local is_step = goes_on and shift.is_step -- something of the run was recorded: shifting equal elements changes nothing
  draft.shift = shifts and { node = node, at = key, by = by, is_step = is_step } or nil
  return is_step
end

local function forget_oldest(undo)
  while undo.total > UNDO_MAX and undo.last > undo.first do
    undo.total = undo.total - #undo[undo.first]
    undo[undo.first], undo.first = nil, undo.first + 1
  end
end

local function remember(draft, entry, joined)
  local undo = draft.undo_steps
  if not joined or undo.last < undo.first then
    undo.last = undo.last + 1
    undo[undo.last] = {}
  end
  local step = undo[undo.last]
  step[#step + 1] = entry
  undo.total = undo.total + 1
  if draft.redo_steps.last > 0 then draft.redo_steps = { first = 1, last = 0, total = 0 } end
  forget_oldest(undo)
end

local function check_key(node, key, value, level)
  if node.array then
    local index = math.type(key) == "float" and math.tointeger(key) or key
    if math.type(index) ~= "integer" then error(("an array has the keys 1..n, got %s"):format(tostring(key)), level) end
    local last = value == nil and node.count or node.count + 1
    if index >= 1 and index <= last and (value ~= nil or index == last) then return index end
    if value == nil and index > node.count then return nil end -- there is nothing to remove
    error(("an array has no holes: %s at %d, it has %d elements"):format(value == nil and "nil" or "a value", index, node.count), level)
  end
  if type(key) == "string" then return key end
  if value == nil then return nil end
  error(("an object has strings as keys, got %s"):format(tostring(key)), level)
end

local function is_empty(node)
  if node.array then return node.count == 0 end
  for key, v in pairs(node.own) do
    if v ~= ABSENT and type(key) == "string" then return false end
  end
  if node.base and kind_of(node.base) == "object" then
    for key in pairs(node.base) do
      if node.own[key] == nil then return false end
    end
  end
  return true
end

function proxy_mt.__newindex(proxy, key, value)
  local node = nodes[proxy]
  local draft = node.draft
  local becomes_array = not node.array and key == 1 and value ~= nil and type(key) == "number" and is_empty(node)
  if not becomes_array then
    key = check_key(node, key, value, 3)
    if key == nil then return end
  else
    key = 1
  end
  local known = nodes[value]
  local new
  if value == nil then new = ABSENT
  elseif known and known.parent == node then new = known -- it is in there already, as when table.insert shifts: no cycle, then
  else new = import(draft, value, { into = node }, 3) end
  if becomes_array then
    put(node, KIND, true)
    remember(draft, { node, KIND, false })
  end
  local joined = becomes_array
  if node.array then joined = in_shift(draft, node, key, new) or becomes_array else draft.shift = nil end
  local before = raw(node, key)
  if same(before, new) then return end
  put(node, key, new)
  remember(draft, { node, key, before }, joined)
  if draft.shift then draft.shift.is_step = true end
end

local function go(from, to)
  local step = from[from.last]
  if from.last < from.first then return false end
  from[from.last], from.last = nil, from.last - 1
  from.total = from.total - #step
  local back = {}
  for i = #step, 1, -1 do
    local node, key = step[i][1], step[i][2]
    back[#back + 1] = { node, key, put(node, key, step[i][3]) }
  end
  to.last = to.last + 1
  to[to.last] = back
  to.total = to.total + #back
  return true
end

--- Takes back the last step; whether there was one.
function overlay.undo(draft)
  draft.shift = nil
  return go(draft.undo_steps, draft.redo_steps)
end

function overlay.redo(draft)
  draft.shift = nil
  return go(draft.redo_steps, draft.undo_steps)
end

-- Reading ----------------------------------------------------------------------------------------------------------

function proxy_mt.__index(proxy, key)
  local node = nodes[proxy]
  local v = ABSENT
  if node.array then
    local index = type(key) == "number" and math.tointeger(key)
    if index and index >= 1 and index <= node.count then v = raw(node, index) end
  elseif type(key) == "string" then
    v = raw(node, key)
  end
  if v == ABSENT then return node.methods and node.methods[key] end
  return shown(v)
end

function proxy_mt.__len(proxy)
  return nodes[proxy].count or 0
end

local function next_element(node, i)
  i = (i or 0) + 1
  if i <= node.count then return i, shown(raw(node, i)) end
end

function proxy_mt.__pairs(proxy)
  local node = nodes[proxy]
  if node.array then return next_element, node, nil end
  local own, at = node.own, nil
  local step, state
  if node.base and kind_of(node.base) == "object" then step, state = pairs(node.base) end
  return function()
    while step do
      local key = step(state)
      if key == nil then
        step = nil
      else
        local v = raw(node, key)
        if v ~= ABSENT then return key, shown(v) end
      end
    end
    while true do
      local v
      at, v = next(own, at)
      if at == nil then return nil end
      if v ~= ABSENT and type(at) == "string" and of_base(node, at) == nil then return at, shown(v) end
    end
  end, proxy, nil
end

-- For the encoder of JSON: one level of the value.
function proxy_mt.__iu_plain(proxy)
  return plain(nodes[proxy])
end

function proxy_mt.__tostring(proxy)
  local node = nodes[proxy]
  return node.array and ("draft: an array of %d elements"):format(node.count) or "draft: an object"
end

proxy_mt.__name = "inner_universe.Draft"

-- Operations -------------------------------------------------------------------------------------------------------

local walk

local function value_of(v)
  if type(v) == "table" then return plain(v) end
  return v
end

local function object_operations(node, path, out, told)
  local keys = {}
  for key in pairs(node.was) do
    if type(key) == "string" and not same(node.was[key], peek(node, key)) then keys[#keys + 1] = key end
  end
  table.sort(keys)
  for _, key in ipairs(keys) do
    local v = peek(node, key)
    told[key] = true
    if v == ABSENT then out.add { op = "delete", path = iu.diff.join(path, key) }
    else out.add { op = "set", path = iu.diff.join(path, key), value = value_of(v) } end
  end
end

local function array_operations(node, path, out, told)
  local was, old_count, count = node.was, node.was_count, node.count
  local both = math.min(old_count, count)
  local function old_at(i)
    local v = was[i]
    if v == nil then v = peek(node, i) end
    return v
  end
  local changed, first = {}, both + 1
  for i in pairs(was) do
    if math.type(i) == "integer" and i <= both and not same(was[i], peek(node, i)) then
      changed[#changed + 1] = i
      first = math.min(first, i)
    end
  end
  local function set(i)
    told[i] = true
    out.add { op = "set", path = iu.diff.join(path, i - 1), value = value_of(peek(node, i)) }
  end
  -- The stretch between what stays in front and what stays behind.
  local front, behind = first - 1, 0
  if #changed > 0 and old_count ~= count then
    while behind < both - front and same(old_at(old_count - behind), peek(node, count - behind)) do behind = behind + 1 end
  end
  local gone, new = old_count - front - behind, count - front - behind
  if gone == 0 or new == 0 then
    for _ = 1, gone do out.add { op = "remove", path = path, index = front } end
    for i = front + 1, front + new do
      told[i] = true
      out.add { op = "insert", path = path, index = i - 1, value = value_of(peek(node, i)) }
    end
    return true
  end
  if #changed <= FEW then
    table.sort(changed)
    for _, i in ipairs(changed) do set(i) end
    for i = old_count, count + 1, -1 do out.add { op = "remove", path = path, index = i - 1 } end
    for i = old_count + 1, count do
      told[i] = true
      out.add { op = "insert", path = path, index = i - 1, value = value_of(peek(node, i)) }
    end
    return true
  end
  local value = plain(node)
  local operations, err = iu.diff.compare(plain(node, true), value)
  if not operations then return nil, err end
  for _, op in ipairs(operations) do
    op.path = path == "" and op.path or op.path == "" and path or path .. "." .. op.path
    out.operations[#out.operations + 1] = op
  end
  out.for_hash[#out.for_hash + 1] = { op = "set", path = path, value = value }
  told.all = true
  return true
end

walk = function(node, path, out)
  local told = {}
  if node.was then
    if node.array ~= node.was_array then
      out.add { op = "set", path = path, value = plain(node) }
      return true
    end
    if node.array then
      local ok, err = array_operations(node, path, out, told)
      if not ok then return nil, err end
    else
      object_operations(node, path, out, told)
    end
  end
  if told.all then return true end
  for child in pairs(node.touched or {}) do
    local failure
    each_place(child, function(parent, key)
      if parent ~= node or told[key] or failure or node.own[key] ~= child then return end
      local _, err = walk(child, iu.diff.join(path, node.array and key - 1 or key), out)
      failure = err
    end)
    if failure then return nil, failure end
  end
  return true
end

--- What was changed since the last commit: operations, and the same for a hash tree, which takes no patches.
---@param draft table
---@return inner_universe.Operation[]?, table for_hash an error when the first is nil
function overlay.operations(draft)
  local out = { operations = iu.array {}, for_hash = iu.array {} }
  function out.add(op)
    out.operations[#out.operations + 1] = op
    out.for_hash[#out.for_hash + 1] = op
  end
  local ok, err = walk(draft.root, "", out)
  if not ok then return nil, err end
  return out.operations, out.for_hash
end

--- From now on changes are told against what it is now. Answers what `unsettle` needs.
---@param draft table
---@return table[]
function overlay.settle(draft)
  local settled = {}
  for i, node in ipairs(draft.dirty) do
    local own = node.own
    settled[i] = { node = node, was = node.was, count = node.was_count, array = node.was_array }
    for key in pairs(node.was or {}) do
      if own[key] == ABSENT and of_base(node, key) == nil then own[key] = nil end
    end
    node.was, node.was_count, node.was_array, node.marked, node.touched = nil, nil, nil, nil, nil
  end
  draft.dirty = {}
  return settled
end

--- The commit that it was settled for did not happen; what was changed meanwhile stays changed.
---@param settled table[]
function overlay.unsettle(settled)
  for _, old in ipairs(settled) do
    local node = old.node
    if old.was then
      for key, v in pairs(node.was or {}) do
        if old.was[key] == nil then old.was[key] = v end
      end
      node.was, node.was_count, node.was_array = old.was, old.count, old.array
    end
    mark(node)
  end
end

--- A draft of a document, which is an object or an array. methods: what its root answers where it has no such member.
---@param document table
---@param methods table<string, function>
---@return table draft its `table` is what users see
function overlay.new(document, methods)
  local draft = { dirty = {}, undo_steps = { first = 1, last = 0, total = 0 }, redo_steps = { first = 1, last = 0, total = 0 } }
  draft.root = new_node(draft, document)
  draft.root.methods = methods
  draft.table = proxy_of(draft.root)
  return draft
end

--- The draft that a table is of, when it is one or a part of one.
---@param value any
---@return table? draft
function overlay.draft_of(value)
  local node = nodes[value]
  return node and node.draft
end

--- The value as tables of one's own.
---@param value table a draft's table, or one in it
---@return any
function overlay.totable(value)
  return iu.json.decode(iu.json.encode(value))
end

return overlay
