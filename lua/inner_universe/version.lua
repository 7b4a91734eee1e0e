-- Versions ("1.2.3": dotted numbers, compared as tuples, a missing part is 0) and ranges (">=1.0 <2", all comparisons must hold; "*": any).

local version = {}

local OPERATORS = {
  [">="] = function(order) return order >= 0 end,
  ["<="] = function(order) return order <= 0 end,
  [">"] = function(order) return order > 0 end,
  ["<"] = function(order) return order < 0 end,
  ["="] = function(order) return order == 0 end,
}

---@param text any
---@return integer[]?
function version.parse(text)
  if type(text) ~= "string" or not text:match("^%d+[%d.]*$") or text:find("..", 1, true) or text:sub(-1) == "." then return nil end
  local parts = {}
  for digits in text:gmatch("%d+") do
    if #digits > 9 then return nil end
    parts[#parts + 1] = math.tointeger(tonumber(digits))
  end
  return parts
end

---Negative, 0 or positive.
---@param a integer[]
---@param b integer[]
---@return integer
function version.compare(a, b)
  for i = 1, math.max(#a, #b) do
    local difference = (a[i] or 0) - (b[i] or 0)
    if difference ~= 0 then return difference end
  end
  return 0
end

---A range as a list of comparisons; nil and why not.
---@param text any
---@return table?, string?
function version.parse_range(text)
  if type(text) ~= "string" then return nil, "a range is text such as \">=1.0 <2\", found a " .. type(text) end
  local range = { text = text }
  if text:match("^%s*%*%s*$") then return range end
  for word in text:gsub("([<>=])%s+", "%1"):gmatch("%S+") do
    local operator, number = word:match("^([<>=]*)(.*)$")
    local parts = version.parse(number)
    local compare = OPERATORS[operator == "" and "=" or operator]
    if not compare or not parts then return nil, ("'%s' is no comparison (in the range '%s')"):format(word, text) end
    range[#range + 1] = { compare = compare, parts = parts }
  end
  if #range == 0 then return nil, "an empty range (\"*\" means any)" end
  return range
end

---@param range table
---@param parts integer[]
---@return boolean
function version.matches(range, parts)
  for _, comparison in ipairs(range) do
    if not comparison.compare(version.compare(parts, comparison.parts)) then return false end
  end
  return true
end

return version
