-- query.lua: query_entities and query_relations: a table of wishes becomes a selection.

local iu = require "inner_universe"

local plugin = ...
local rows = plugin.load "rows"

local query = {}

--- Which keys of a spec are plain equalities, by table.
query.COLUMNS = {
  entity = { entity_type = true, id = true },
  relation = { from_entity = true, to_entity = true, relation_type = true, id = true },
}

local COMMON = { filters = true, tags = true, order_by = true, descending = true, limit = true, offset = true, explain = true }

local function invalid(format, ...)
  return nil, iu.errors.new("ValidationError", format:format(...))
end

local function check_keys(spec, columns)
  for key in pairs(spec) do
    if not COMMON[key] and not columns[key] then
      local known = {}
      for name in pairs(COMMON) do known[#known + 1] = name end
      for name in pairs(columns) do known[#known + 1] = name end
      table.sort(known)
      return invalid("query: unknown key `%s` (known: %s)", tostring(key), table.concat(known, ", "))
    end
  end
  return true
end

local function check_number(spec, key)
  local value = spec[key]
  if value == nil or (math.type(value) == "integer" and value >= 0) then return true end
  return invalid("%s: expected an integer from 0, got %s", key, tostring(value))
end

-- Every key counts: ipairs would end silently at the first hole.
local function check_array(value, what)
  if value == nil then return true end
  if type(value) ~= "table" then return invalid("%s: expected an array, got %s", what, type(value)) end
  local count = #value
  for key in pairs(value) do
    if math.type(key) ~= "integer" or key < 1 or key > count then
      return invalid("%s: expected an array, found the key %s", what, tostring(key))
    end
  end
  for i = 1, count do
    if value[i] == nil then return invalid("%s: expected an array, [%d] is missing", what, i) end
  end
  return true
end

local function check_types(spec)
  for _, key in ipairs { "limit", "offset" } do
    local ok, err = check_number(spec, key)
    if not ok then return nil, err end
  end
  if spec.order_by ~= nil and type(spec.order_by) ~= "string" then return invalid("order_by: expected a field name, got %s", type(spec.order_by)) end
  for _, key in ipairs { "descending", "explain" } do
    if spec[key] ~= nil and type(spec[key]) ~= "boolean" then return invalid("%s: expected true or false, got %s", key, tostring(spec[key])) end
  end
  for _, key in ipairs { "filters", "tags" } do
    local ok, err = check_array(spec[key], key)
    if not ok then return nil, err end
  end
  return true
end

local function check_filter(filter, where)
  if type(filter) ~= "table" then return invalid("%s: expected { field, operator, value }, got %s", where, type(filter)) end
  for _, key in ipairs { "field", "operator" } do
    if type(filter[key]) ~= "string" then return invalid("%s.%s: expected a string, got %s", where, key, type(filter[key])) end
  end
  if filter.value == nil then return invalid("%s.value: expected a value (iu.null for null), got nil", where) end
  for key in pairs(filter) do
    if key ~= "field" and key ~= "operator" and key ~= "value" then return invalid("%s: unknown key `%s`", where, tostring(key)) end
  end
  return true
end

--- What `spec` asks of that table: the selection, or nil, err.
function query.selection(spec, table_name)
  local columns = query.COLUMNS[table_name]
  local ok, err = check_keys(spec, columns)
  if ok then ok, err = check_types(spec) end
  if not ok then return nil, err end
  local filters = {}
  for column in pairs(columns) do
    local value = spec[column]
    if value ~= nil then
      if type(value) ~= "string" then return invalid("%s: expected a string, got %s", column, type(value)) end
      filters[#filters + 1] = { field = column, operator = "Equals", value = value }
    end
  end
  for i, tag in ipairs(spec.tags or {}) do
    if type(tag) ~= "string" then return invalid("tags[%d]: expected a string, got %s", i, type(tag)) end
    filters[#filters + 1] = { field = "tags", operator = "Contains", value = tag }
  end
  for i, filter in ipairs(spec.filters or {}) do
    ok, err = check_filter(filter, ("filters[%d]"):format(i))
    if not ok then return nil, err end
    filters[#filters + 1] = filter
  end
  local order_by = spec.order_by or (spec.descending and "id" or nil)
  return rows.select(table_name, { filters = filters, order_by = order_by, descending = spec.descending, limit = spec.limit, offset = spec.offset })
end

return query
