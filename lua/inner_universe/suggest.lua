-- "did you mean": the nearest of some known names, by edit distance (insert, delete, replace, swap of neighbours), case aside.
-- Cost: product of the lengths; names longer than the cap are not compared.

local suggest = {}

local LENGTH_MAX = 64

local function distance(a, b)
  local before_last, last = nil, {}
  for j = 0, #b do
    last[j] = j
  end
  for i = 1, #a do
    local row = { [0] = i }
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      local best = math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (same and 0 or 1))
      if before_last and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        best = math.min(best, before_last[j - 2] + 1)
      end
      row[j] = best
    end
    before_last, last = last, row
  end
  return last[#b]
end

-- How far a name may be: further when one is the beginning of the other ("warning", "warn").
local function reach(a, b, limit)
  local short = math.min(#a, #b)
  return short >= 3 and a:sub(1, short) == b:sub(1, short) and short or limit
end

---The nearest of the names, or nil when none is near. `names`: an array of strings, or a table whose keys are the names.
---@param word string
---@param names table
---@return string?
function suggest.nearest(word, names)
  if #word > LENGTH_MAX then return nil end
  local wanted = word:lower()
  local limit = math.max(2, #wanted // 3)
  local best, best_distance
  for key, value in pairs(names) do
    local name = type(key) == "string" and key or value
    local near = type(name) == "string" and #name <= LENGTH_MAX and reach(wanted, name:lower(), limit)
    if near and math.abs(#name - #word) <= near then
      local d = distance(wanted, name:lower())
      if d <= near and d < #name and (not best or d < best_distance or (d == best_distance and name < best)) then
        best, best_distance = name, d
      end
    end
  end
  return best
end

---The same as text to append to a message: " (did you mean 'x'?)" or "".
---@param word string
---@param names table
---@return string
function suggest.hint(word, names)
  local name = suggest.nearest(word, names)
  return name and (" (did you mean '%s'?)"):format(name) or ""
end

return suggest
