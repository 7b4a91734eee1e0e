-- Many insertions and removals in one array: two stacks with a gap between them, so that neighbouring places cost what lies between them and
-- not what lies behind.

local splice = {}

---@param items table read only
---@param at integer where the gap begins: elements before it
---@return table
function splice.open(items, at)
  local left, right, count = table.move(items, 1, at, 1, {}), {}, #items
  for i = count, at + 1, -1 do right[#right + 1] = items[i] end
  return { left = left, right = right, before = at, after = count - at }
end

local function move_to(s, at)
  local left, right = s.left, s.right
  while s.before > at do
    s.after = s.after + 1
    right[s.after], left[s.before] = left[s.before], nil
    s.before = s.before - 1
  end
  while s.before < at do
    s.before = s.before + 1
    left[s.before], right[s.after] = right[s.after], nil
    s.after = s.after - 1
  end
end

---How many elements there are.
---@param s table
---@return integer
function splice.count(s) return s.before + s.after end

---@param s table
---@param at integer from 0, at most the count
---@param value any
function splice.insert(s, at, value)
  move_to(s, at)
  s.before = at + 1
  s.left[s.before] = value
end

---Removes the element at `at` (from 0, less than the count) and returns it.
---@param s table
---@param at integer
---@return any
function splice.remove(s, at)
  move_to(s, at)
  local value = s.right[s.after]
  s.right[s.after] = nil
  s.after = s.after - 1
  return value
end

---The elements in order, in the table given, which is emptied of what is left over.
---@param s table
---@param items table
function splice.close(s, items)
  local old, count = #items, s.before + s.after
  table.move(s.left, 1, s.before, 1, items)
  for i = 1, s.after do items[s.before + i] = s.right[s.after - i + 1] end
  for i = old, count + 1, -1 do items[i] = nil end
end

return splice
