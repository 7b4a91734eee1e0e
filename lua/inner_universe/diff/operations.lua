-- Lists of operations as they come from outside: checked, with their paths taken apart. What refers to a state is checked where it is applied.

local core = require("inner_universe.runtime").core
local errors = require("inner_universe.errors")
local path = require("inner_universe.diff.path")
local value = require("inner_universe.diff.value")

local operations = {}

-- The fields of each, beside `op` and `path`: true where it must be there.
local FIELDS = {
  set = { value = true },
  delete = {},
  insert = { index = false, value = true },
  remove = { index = true },
  patch = { patch = true },
}

---@class inner_universe.Operation
---@field op "set"|"delete"|"insert"|"remove"|"patch"
---@field path string of the value itself; for insert and remove, of the array
---@field index? integer from 0; absent in an insert: at the end
---@field value? any
---@field patch? table of a string its edits, of an object a merge patch (RFC 7386)

---A ValidationError that names the operation. `i` counts from 1.
---@param i integer
---@param op table
---@param message string
---@param ... any
---@return nil, inner_universe.Error
function operations.refuse(i, op, message, ...)
  local name = type(op) == "table" and type(op.op) == "string" and " " .. op.op or ""
  local at = type(op) == "table" and type(op.path) == "string" and (' path "%s"'):format(op.path) or ""
  return nil, errors.new("ValidationError", ("operations[%d]%s%s: %s"):format(i, name, at, message:format(...)), { details = { operation = i } })
end

local function check_fields(i, op, fields)
  for key, v in pairs(op) do
    if key ~= "op" and key ~= "path" and fields[key] == nil then return operations.refuse(i, op, "unknown field `%s`", tostring(key)) end
    if key == "index" and (math.type(v) ~= "integer" or v < 0) then
      return operations.refuse(i, op, "index: expected an integer from 0, got %s", tostring(v))
    end
    if key == "value" or key == "patch" then
      local text, err = core.json_encode(v)
      if not text then return operations.refuse(i, op, "%s: %s", key, err.message) end
    end
  end
  for key, needed in pairs(fields) do
    if needed and op[key] == nil then
      return operations.refuse(i, op, "%s: expected %s, got nil", key, key == "index" and "an integer from 0" or "a value (iu.null for null)")
    end
  end
  return true
end

local function check_one(i, op)
  op = value.plain(op)
  if type(op) ~= "table" then return operations.refuse(i, op, "expected a table, got %s", type(op)) end
  local fields = type(op.op) == "string" and FIELDS[op.op]
  if not fields then return operations.refuse(i, {}, "op: expected set, delete, insert, remove or patch, got %s", tostring(op.op)) end
  if type(op.path) ~= "string" then return operations.refuse(i, op, "path: expected a string, got %s", type(op.path)) end
  local ok, err = check_fields(i, op, fields)
  if not ok then return nil, err end
  local patch = value.unpacked(op.patch)
  if op.op == "patch" and type(patch) ~= "table" then return operations.refuse(i, op, "patch: expected a table, got %s", type(patch)) end
  if not utf8.len(op.path) then return operations.refuse(i, { op = op.op }, "path: expected UTF-8") end
  local segments, why = path.parse(op.path)
  if not segments then return operations.refuse(i, op, "path: %s", why) end
  return { op = op.op, path = op.path, segments = segments, index = op.index, value = value.plain(op.value), patch = patch }
end

---The list with `segments` for each path, or nil and what is wrong with it.
---@param list inner_universe.Operation[]
---@return table[]?, inner_universe.Error?
function operations.read(list)
  local count, out = #list, {}
  for key in pairs(list) do
    if math.type(key) ~= "integer" or key < 1 or key > count then
      return nil, errors.new("ValidationError", ("operations: expected an array of operations, found the key %s"):format(tostring(key)))
    end
  end
  for i = 1, count do
    local op, err = check_one(i, list[i])
    if not op then return nil, err end
    out[i] = op
  end
  return out
end

---Operations as users see them, of a list that has been read.
---@param list table[]
---@return inner_universe.Operation[]
function operations.plain(list)
  local out = {}
  for i, op in ipairs(list) do out[i] = { op = op.op, path = op.path, index = op.index, value = op.value, patch = op.patch } end
  return out
end

return operations
