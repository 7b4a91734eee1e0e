-- The specification of `conn:select`, from its friendly form to the core's positional one: keys and types checked, filter values as JSON.

local errors = require("inner_universe.errors")
local suggest = require("inner_universe.suggest")

local selection = {}

local KEYS = { filters = true, order_by = true, descending = true, limit = true, offset = true }
local FILTER_KEYS = { field = true, operator = true, value = true }

local function invalid(message, ...)
  return nil, errors.new("ValidationError", message:format(...))
end

local function prepare_filter(filter, i, encode)
  if type(filter) ~= "table" then return invalid("filters[%d]: a table expected, got %s", i, type(filter)) end
  for key in pairs(filter) do
    if not FILTER_KEYS[key] and not (math.type(key) == "integer" and key >= 1 and key <= 3) then
      return invalid("filters[%d]: unknown key '%s'%s", i, tostring(key), suggest.hint(tostring(key), FILTER_KEYS))
    end
  end
  local field, operator, value = filter.field or filter[1], filter.operator or filter[2], filter.value
  if value == nil then value = filter[3] end
  if type(field) ~= "string" then return invalid("filters[%d].field: text expected, got %s", i, type(field)) end
  if type(operator) ~= "string" then return invalid("filters[%d].operator: text expected, got %s", i, type(operator)) end
  if value == nil then return invalid("filters[%d].value: missing (iu.null means null)", i) end
  local text, err = encode(value)
  if not text then return nil, errors.new("ValidationError", ("filters[%d].value: %s"):format(i, err.message), { cause = err }) end
  return { field, operator, text }
end

local function check_count(spec, key)
  local value = spec[key]
  if value == nil then return true end
  if math.type(value) ~= "integer" then
    return invalid("%s: an integer expected, got %s", key, type(value) == "number" and tostring(value) or type(value))
  end
  if value < 0 then return invalid("%s: 0 or more expected, got %d", key, value) end
  return true
end

---@param spec table
---@param encode fun(value: any): string?, inner_universe.Error?
---@return table?, inner_universe.Error?
function selection.prepare(spec, encode)
  for key in pairs(spec) do
    if not KEYS[key] then return invalid("unknown key '%s'%s", tostring(key), suggest.hint(tostring(key), KEYS)) end
  end
  if spec.order_by ~= nil and type(spec.order_by) ~= "string" then
    return invalid("order_by: the name of a field expected, got %s", type(spec.order_by))
  end
  if spec.descending ~= nil and type(spec.descending) ~= "boolean" then
    return invalid("descending: true or false expected, got %s", type(spec.descending))
  end
  for _, key in ipairs({ "limit", "offset" }) do
    local ok, err = check_count(spec, key)
    if not ok then return nil, err end
  end
  if spec.filters ~= nil and type(spec.filters) ~= "table" then return invalid("filters: an array expected, got %s", type(spec.filters)) end
  local filters = {}
  for key in pairs(spec.filters or {}) do
    if math.type(key) ~= "integer" then return invalid("filters: an array expected, found the key '%s'", tostring(key)) end
  end
  for i, filter in ipairs(spec.filters or {}) do
    local prepared, err = prepare_filter(filter, i, encode)
    if not prepared then return nil, err end
    filters[i] = prepared
  end
  return { filters = filters, order_by = spec.order_by, descending = spec.descending, limit = spec.limit, offset = spec.offset }
end

return selection
