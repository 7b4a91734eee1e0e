-- Plain data in files: a Lua file that returns a table and is run with an empty environment under an instruction limit, or a JSON file.
-- What comes back holds only strings, numbers, booleans and tables. Nothing of the program can be reached from such a file.

local errors = require("inner_universe.errors")

local data_file = {}

local BYTES_MAX = 16 * 1024 * 1024
local INSTRUCTIONS_MAX = 10 * 1000 * 1000
local DEPTH_MAX = 100

local function refused(path, why)
  return nil, errors.new("ValidationError", ("%s: %s"):format(path, why))
end

local function read(path)
  local file, message = io.open(path, "rb")
  if not file then return refused(path, (message:gsub("^" .. path:gsub("%p", "%%%0") .. ": ", ""))) end
  local text = file:read(BYTES_MAX + 1)
  file:close()
  if text == nil then return refused(path, "empty, or not a file") end
  if #text > BYTES_MAX then return refused(path, ("larger than %d bytes"):format(BYTES_MAX)) end
  return text
end

-- Where something that is not data sits, and what; nil when all is data.
local function not_data(value, path, depth)
  local kind = type(value)
  if kind ~= "table" then
    if kind == "string" or kind == "number" or kind == "boolean" then return nil end
    return path, kind
  end
  if depth > DEPTH_MAX then return path, "a table that is too deep or contains itself" end
  for key, inner in pairs(value) do
    local at = type(key) == "string" and path .. "." .. key or ("%s[%s]"):format(path, tostring(key))
    if type(key) == "table" or type(key) == "function" then return path, "a key that is a " .. type(key) end
    local where, what = not_data(inner, at, depth + 1)
    if where then return where, what end
  end
  return nil
end

-- In a coroutine of its own, so that the limit's hook touches nobody else's.
local function run_limited(chunk)
  local co = coroutine.create(chunk)
  debug.sethook(co, function()
    error("runs too long for plain data", 0)
  end, "", INSTRUCTIONS_MAX)
  local ok, value = coroutine.resume(co)
  if ok and coroutine.status(co) ~= "dead" then return false, "yields" end
  return ok, value
end

---@param path string
---@return table?, inner_universe.Error?
function data_file.lua(path)
  local text, err = read(path)
  if not text then return nil, err end
  local chunk, message = load(text, "@" .. path, "t", {})
  if not chunk then return refused(path, message) end
  local ok, value = run_limited(chunk)
  if not ok then return refused(path, tostring(value)) end
  if type(value) ~= "table" then return refused(path, "should return a table, returned " .. type(value)) end
  local where, what = not_data(value, "", 0)
  if where then return refused(path, ("only plain data is allowed, found %s at '%s'"):format(what, (where:gsub("^%.", "")))) end
  return value
end

---@param path string
---@param decode fun(text: string): any, any `nil, err` on failure
---@return table?, inner_universe.Error?
function data_file.json(path, decode)
  local text, err = read(path)
  if not text then return nil, err end
  local value, why = decode(text)
  if value == nil then return refused(path, tostring(why)) end
  if type(value) ~= "table" then return refused(path, "should hold an object, holds " .. type(value)) end
  return value
end

return data_file
