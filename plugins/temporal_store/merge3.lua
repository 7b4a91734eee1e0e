-- merge3.lua: three-way merge of JSON values: what one side changed is taken, what both changed alike is taken once, what both changed differently is a
-- conflict. Objects merge member by member. Arrays merge element by element: iu.diff.compare says which elements of the base each side kept, so that both sides
-- may insert, remove and edit in the same list. What both inserted at one place stays, ours first; objects with the same `id`, `key` or `name` are one element.

local iu = require "inner_universe"

local merge3 = {}

merge3.ABSENT = setmetatable({}, { __name = "absent", __tostring = function() return "absent" end })
local ABSENT = merge3.ABSENT

local KEYS = { "id", "key", "name" }

local function kind(v)
  if v == ABSENT or type(v) ~= "table" then return nil end
  local mark = getmetatable(v)
  if mark == getmetatable(iu.array()) then return "array" end
  local first = next(v)
  return (first == nil or type(first) == "string") and "object" or "array"
end

local function same(a, b)
  if a == ABSENT or b == ABSENT then return a == b end
  return iu.diff.equal(a, b)
end

local merge

-- Objects ----------------------------------------------------------------------------------------------------------

local function merge_objects(base, ours, theirs, path, state)
  local out = iu.object()
  local function member(v, key)
    if v == ABSENT then return ABSENT end
    v = v[key]
    if v == nil then return ABSENT end
    return v
  end
  local seen = {}
  for _, side in ipairs { ours, theirs } do
    for key in pairs(side) do
      if not seen[key] then
        seen[key] = true
        local v = merge(member(base, key), member(ours, key), member(theirs, key), iu.diff.join(path, key), state)
        if v ~= ABSENT then out[key] = v end
      end
    end
  end
  return out
end

-- Arrays -----------------------------------------------------------------------------------------------------------

-- For each element of `side` the place in the base that it has kept, or false for a new one.
local function alignment(base, side)
  local places, moves = iu.array(), {}
  for i = 1, #base do places[i] = i end
  local ops = assert(iu.diff.compare(base, side, { in_parts = true }))
  for _, op in ipairs(ops) do
    if op.path == "" then
      local move = { op = op.op, path = "", index = op.index }
      if op.op == "insert" then move.value = false end
      moves[#moves + 1] = move
    end
  end
  return assert(iu.diff.apply_in_place(places, moves))
end

-- { kept = { [base place] = element }, new = { [base place before, 0 at the front] = elements } }
local function sorted_out(base, side)
  local places, out, before = alignment(base, side), { kept = {}, new = {} }, 0
  for i, place in ipairs(places) do
    if place then
      out.kept[place] = side[i]
      before = place
    else
      out.new[before] = out.new[before] or {}
      table.insert(out.new[before], side[i])
    end
  end
  return out
end

local function key_of(v)
  if kind(v) ~= "object" then return nil end
  for _, name in ipairs(KEYS) do
    local scalar = v[name]
    if scalar ~= nil and scalar ~= iu.null and type(scalar) ~= "table" then return ("%s:%s:%s"):format(name, math.type(scalar) or type(scalar), scalar) end
  end
  return nil
end

-- What a new element of one side and one of the other have in common when they are one: their key, or all of them.
local function identity(v)
  return key_of(v) or "=" .. assert(iu.json.canonical(v))
end

-- What both sides put at one place: ours, then what theirs has beside it.
local function insert_new(out, ours, theirs, path, state)
  local open, taken = {}, {} -- identity -> places in theirs that nothing of ours was found for, the last first
  if ours and theirs then
    for j = #theirs, 1, -1 do
      local id = identity(theirs[j])
      open[id] = open[id] or {}
      table.insert(open[id], j)
    end
  end
  for _, mine in ipairs(ours or {}) do
    local places = theirs and open[identity(mine)]
    local j = places and table.remove(places)
    if j then
      taken[j] = true
      mine = merge(ABSENT, mine, theirs[j], iu.diff.join(path, #out), state)
    end
    if mine ~= ABSENT then out[#out + 1] = mine end
  end
  for j, other in ipairs(theirs or {}) do
    if not taken[j] then out[#out + 1] = other end
  end
end

local function merge_arrays(base, ours, theirs, path, state)
  local out, a, b = iu.array(), sorted_out(base, ours), sorted_out(base, theirs)
  insert_new(out, a.new[0], b.new[0], path, state)
  for place, old in ipairs(base) do
    local mine, other = a.kept[place], b.kept[place]
    if mine == nil then mine = ABSENT end
    if other == nil then other = ABSENT end
    local v = merge(old, mine, other, iu.diff.join(path, place - 1), state)
    if v ~= ABSENT then out[#out + 1] = v end
    insert_new(out, a.new[place], b.new[place], path, state)
  end
  return out
end

-- Values -----------------------------------------------------------------------------------------------------------

local function conflict(base, ours, theirs, path, state)
  local function shown(v)
    if v == ABSENT then return nil end
    return v
  end
  local what = { path = path, base = shown(base), ours = shown(ours), theirs = shown(theirs), absent = ABSENT }
  local resolve = state.resolve
  if resolve == "ours" then return ours end
  if resolve == "theirs" then return theirs end
  if resolve then
    local v = resolve(what)
    if v ~= nil then return v end
  end
  what.absent = nil
  state.conflicts[#state.conflicts + 1] = what
  return ours
end

merge = function(base, ours, theirs, path, state)
  if same(ours, theirs) or same(base, theirs) then return ours end
  if same(base, ours) then return theirs end
  local a, b = kind(ours), kind(theirs)
  if a == "object" and b == "object" then return merge_objects(kind(base) == "object" and base or ABSENT, ours, theirs, path, state) end
  if a == "array" and b == "array" and kind(base) == "array" then return merge_arrays(base, ours, theirs, path, state) end
  return conflict(base, ours, theirs, path, state)
end

--- Merges two values that come of one: the value, and the conflicts that nobody resolved, in which ours stays. resolve: "ours", "theirs", or a function
--- that gets a conflict { path, base, ours, theirs, absent } and answers the value to take, `absent` for none, or nil when it does not know.
---@param base any
---@param ours any
---@param theirs any
---@param resolve? "ours"|"theirs"|fun(conflict: inner_universe.MergeConflict): any
---@return any value, inner_universe.MergeConflict[] conflicts
function merge3.merge(base, ours, theirs, resolve)
  local state = { resolve = resolve, conflicts = {} }
  local value = merge(base, ours, theirs, "", state)
  return value, state.conflicts
end

return merge3
