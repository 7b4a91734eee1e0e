-- Many insertions and removals in one long array, in any order: its elements in pieces of at most PIECE, and a Fenwick tree over how many each piece has, so
-- that a place is found in logarithmic time and what is moved is never more than one piece.

local splice = {}

local PIECE = 512

-- The tree anew, from what the pieces have.
local function count_anew(s)
  local pieces, tree = s.pieces, {}
  for i = 1, #pieces do tree[i] = #pieces[i] end
  for i = 1, #pieces do
    local above = i + (i & -i)
    if above <= #pieces then tree[above] = tree[above] + tree[i] end
  end
  local step = 1
  while step * 2 <= #pieces do step = step * 2 end
  s.tree, s.step = tree, step
end

---@param items table read only
---@return table
function splice.open(items)
  local pieces, count = {}, #items
  for at = 1, count, PIECE // 2 do pieces[#pieces + 1] = table.move(items, at, math.min(at + PIECE // 2 - 1, count), 1, {}) end
  pieces[1] = pieces[1] or {}
  local s = { pieces = pieces, count = count }
  count_anew(s)
  return s
end

-- The piece that has place `at` (from 1, at most the count), and the place in it.
local function find(s, at)
  local tree, i, step = s.tree, 0, s.step
  while step > 0 do
    local next_at = i + step
    local has = tree[next_at]
    if has and has < at then
      i = next_at
      at = at - has
    end
    step = step // 2
  end
  return i + 1, at
end

local function add(s, i, change)
  local tree, pieces = s.tree, #s.pieces
  s.count = s.count + change
  while i <= pieces do
    tree[i] = tree[i] + change
    i = i + (i & -i)
  end
end

local function split(s, i)
  local piece = s.pieces[i]
  local half = #piece // 2
  local right = table.move(piece, half + 1, #piece, 1, {})
  for at = #piece, half + 1, -1 do piece[at] = nil end
  table.insert(s.pieces, i + 1, right)
  count_anew(s)
end

---@param s table
---@param at integer from 1, at most the count
---@return any
function splice.get(s, at)
  local i, inside = find(s, at)
  return s.pieces[i][inside]
end

---@param s table
---@param at integer from 1, at most the count
---@param value any
function splice.set(s, at, value)
  local i, inside = find(s, at)
  s.pieces[i][inside] = value
end

---Puts a value before the element at `at`, or behind the last one.
---@param s table
---@param at integer from 1, at most the count and one
---@param value any
function splice.insert(s, at, value)
  local i, inside
  if at > s.count then
    i = #s.pieces
    inside = #s.pieces[i] + 1
  else
    i, inside = find(s, at)
  end
  local piece = s.pieces[i]
  table.insert(piece, inside, value)
  add(s, i, 1)
  if #piece > PIECE then split(s, i) end
end

---Removes the element at `at` and returns it.
---@param s table
---@param at integer from 1, at most the count
---@return any
function splice.remove(s, at)
  local i, inside = find(s, at)
  add(s, i, -1)
  return table.remove(s.pieces[i], inside)
end

---The elements in order, in the table given, which is emptied of what is left over.
---@param s table
---@param items table
function splice.close(s, items)
  local old, at = #items, 1
  for _, piece in ipairs(s.pieces) do
    table.move(piece, 1, #piece, at, items)
    at = at + #piece
  end
  for i = old, at, -1 do items[i] = nil end
end

return splice
