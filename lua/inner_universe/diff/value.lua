-- JSON values as Lua has them: what is an array and what an object, and when two are exactly the same (1 and 1.0 differ, as do [] and {}).

local core = require("inner_universe.runtime").core

local value = {}

local DEPTH_MAX = 512 -- levels that a JSON value may have

---A document as plain tables, and so a table that stands for something else (a draft); anything else as it is.
---@param v any
---@return any
function value.plain(v)
  if type(v) == "userdata" then return core.is_document(v) and core.json_totable(v) or v end
  local mt = type(v) == "table" and getmetatable(v)
  if type(mt) ~= "table" or not rawget(mt, "__iu_plain") then return v end
  return (assert(core.json_decode(assert(core.json_encode(v)))))
end

local function unpacked(v, depth)
  v = value.plain(v)
  if type(v) ~= "table" or depth == DEPTH_MAX then return v end
  local out = v
  for key, inner in pairs(v) do
    local there = unpacked(inner, depth + 1)
    if not rawequal(there, inner) then
      if rawequal(out, v) then out = value.shallow(v) end
      out[key] = there
    end
  end
  return out
end

---The value with plain tables for every document in it: itself where there is none.
---@param v any
---@return any
function value.unpacked(v) return unpacked(v, 0) end

---"array" or "object" for a container, nil for anything else. An empty table without a mark is an object, as it is for `iu.json.encode`.
---@param v any
---@return "array"|"object"|nil
function value.kind(v)
  if type(v) ~= "table" then return nil end
  local mark = getmetatable(v)
  if mark == core.array_mt then return "array" end
  if mark == core.object_mt then return "object" end
  local first = next(v)
  return (first == nil or type(first) == "string") and "object" or "array"
end

local function same_number(a, b)
  return math.type(a) == math.type(b) and a == b and (a ~= 0 or math.type(a) == "integer" or 1 / a == 1 / b)
end

local equal

local function same_table(a, b, same, depth)
  if depth == DEPTH_MAX then return false end -- no JSON value: a cycle, most likely
  local kind = value.kind(a)
  if kind ~= value.kind(b) then return false end
  if kind == "array" then
    if #a ~= #b then return false end
    for i = 1, #a do
      if not equal(a[i], b[i], same, depth + 1) then return false end
    end
    return true
  end
  for key, v in pairs(a) do
    local other = b[key]
    if other == nil or not equal(v, other, same, depth + 1) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

equal = function(a, b, same, depth)
  a, b = value.plain(a), value.plain(b)
  local kind = type(a)
  if kind ~= type(b) then return false end
  if kind == "number" then return same(a, b) end
  if kind == "table" then return rawequal(a, b) or same_table(a, b, same, depth) end
  return a == b
end

---Exactly the same value.
---@param a any
---@param b any
---@return boolean
function value.equal(a, b) return equal(a, b, same_number, 0) end

---The same but for numbers, which are compared by what they are worth (as RFC 6902 wants it).
---@param a any
---@param b any
---@return boolean
function value.similar(a, b)
  return equal(a, b, function(x, y) return x == y end, 0)
end

---A copy that shares nothing.
---@param v any
---@return any
function value.copy(v)
  v = value.plain(v)
  if type(v) ~= "table" then return v end
  local out = {}
  for key, inner in pairs(v) do out[key] = value.copy(inner) end
  return setmetatable(out, getmetatable(v))
end

---A copy of one container, whose contents are shared. An array is marked, so that it stays one when it loses its last element.
---@param v table
---@return table
function value.shallow(v)
  if value.kind(v) == "array" then return core.array(table.move(v, 1, #v, 1, {})) end
  local out = {}
  for key, inner in pairs(v) do out[key] = inner end
  return setmetatable(out, getmetatable(v))
end

-- Appends the JSON of v, keys in order, until there is more than `room`; how much there is.
local function write(out, v, room, length)
  local kind = value.kind(v)
  local function put(text)
    out[#out + 1] = text
    length = length + #text
  end
  if not kind then
    put(core.json_encode(v) or tostring(v))
    return length
  end
  local keys = {}
  if kind == "object" then
    for key in pairs(v) do keys[#keys + 1] = key end
    table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  end
  put(kind == "array" and "[" or "{")
  for i = 1, kind == "array" and #v or #keys do
    if i > 1 then put(",") end
    if keys[i] then put((core.json_encode(keys[i]) or tostring(keys[i])) .. ":") end
    if length > room then return length end
    length = write(out, v[keys[i] or i], room, length)
  end
  put(kind == "array" and "]" or "}")
  return length
end

---A value for a message: JSON with its keys in order, cut. Costs what is shown, not what there is.
---@param v any
---@param room? integer bytes, 40
---@return string
function value.text(v, room)
  local out = {}
  room = room or 40
  local length = write(out, v, room, 0)
  local text = table.concat(out)
  if length <= room then return text end
  local cut = room - 3
  while cut > 1 and (text:byte(cut + 1) or 0) & 0xC0 == 0x80 do cut = cut - 1 end -- not inside a character
  return text:sub(1, cut) .. "..."
end

return value
