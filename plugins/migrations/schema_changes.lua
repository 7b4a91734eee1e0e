-- schema_changes.lua: what differs between the schema of a server and that of a module that is to replace its own; whether a server of 1.x takes it while
-- there are rows, and which clients it breaks. A server of 2.x says so itself, and takes more (with BreakClients: tables that go, columns appended with a
-- default).

local iu = require "inner_universe"

local schema_changes = {}

local function names_of(a, b)
  local list, seen = {}, {}
  for _, each in ipairs { a, b } do
    for name in pairs(each) do
      if not seen[name] then list[#list + 1] = name end
      seen[name] = true
    end
  end
  table.sort(list)
  return list
end

-- Columns and parameters are { name, type } each.
local function fields_text(fields)
  local out = {}
  for i, field in ipairs(fields) do out[i] = ("%s %s"):format(field[1], field[2]) end
  return table.concat(out, ", ")
end

local DEPTH_MAX = 32 -- of types within types

-- A type as the server writes it, with those it names put in their place.
local function expanded(value, types, depth)
  if type(value) ~= "table" or depth > DEPTH_MAX then return value end
  if math.type(value.Ref) == "integer" then return expanded(types[value.Ref + 1], types, depth + 1) end
  local out = setmetatable({}, getmetatable(value))
  for key, inner in pairs(value) do out[key] = expanded(inner, types, depth + 1) end
  return out
end

---What the types of a module's columns are made of: table -> column -> text, from its definition (RawModuleDefV9 as SATS-JSON).
---@param raw table
---@return table<string, table<string, string>>
function schema_changes.types_of(raw)
  local types, out = raw.typespace and raw.typespace.types or {}, {}
  for _, def in ipairs(raw.tables or {}) do
    local row = types[(def.product_type_ref or -1) + 1]
    local columns = {}
    for _, element in ipairs(row and row.Product and row.Product.elements or {}) do
      columns[element.name and element.name.some or "?"] = iu.json.canonical(expanded(element.algebraic_type, types, 0))
    end
    out[def.name] = columns
  end
  return out
end

local function uniques(def)
  local out = {}
  for _, index in ipairs(def.indexes or {}) do
    if index.unique then
      local columns = {}
      for i, column in ipairs(index.columns) do columns[i] = tostring(column) end
      out[table.concat(columns, ",")] = true
    end
  end
  return out
end

-- What happened to the columns, in the words of a user; nil where nothing did. a, b: what the types are made of, by column.
local function columns_change(old, new, a, b)
  local was, is, parts = {}, {}, {}
  for i, column in ipairs(old) do was[column[1]] = { type = column[2], at = i } end
  for i, column in ipairs(new) do is[column[1]] = { type = column[2], at = i } end
  for i, column in ipairs(old) do
    local name = column[1]
    local now = is[name]
    if not now then
      parts[#parts + 1] = ("column %s was removed"):format(name)
    elseif now.type ~= column[2] or (a and b and a[name] ~= b[name]) then
      parts[#parts + 1] = ("column %s has another type"):format(name)
    elseif now.at ~= i then
      parts[#parts + 1] = ("column %s moved"):format(name)
    end
  end
  for i, column in ipairs(new) do
    if not was[column[1]] then parts[#parts + 1] = ("column %s was %s"):format(column[1], i > #old and "appended" or "inserted") end
  end
  return #parts > 0 and table.concat(parts, ", ") or nil
end

---The differences: array of { what, table or reducer, accepted (by 1.x, with rows there), breaks (who, or nil) }.
---@param old table conn:schema()
---@param new table
---@param old_types? table of types_of: also what is within a named type is compared
---@param new_types? table
---@return table[]
function schema_changes.list(old, new, old_types, new_types)
  local list = iu.array {}
  local function add(change) list[#list + 1] = change end
  for _, name in ipairs(names_of(old.tables, new.tables)) do
    local a, b = old.tables[name], new.tables[name]
    if not a then
      add { table = name, what = "table added", accepted = true }
    elseif not b then
      add { table = name, what = "table removed", accepted = false, breaks = "clients that read or subscribe it" }
    else
      local columns = columns_change(a.columns, b.columns, old_types and old_types[name], new_types and new_types[name])
      if columns then add { table = name, what = columns, accepted = false, breaks = "clients that read or subscribe it" } end
      if a.public ~= b.public then
        add { table = name, what = b.public and "became public" or "became private", accepted = true,
          breaks = not b.public and "clients that subscribe it and are not the owner" or nil }
      end
      local before, after = uniques(a), uniques(b)
      for key in pairs(after) do
        if not before[key] then add { table = name, what = ("unique (%s) added"):format(key), accepted = false } end
      end
      for key in pairs(before) do
        if not after[key] then add { table = name, what = ("unique (%s) removed"):format(key), accepted = true } end
      end
    end
  end
  for _, name in ipairs(names_of(old.reducers, new.reducers)) do
    local a, b = old.reducers[name], new.reducers[name]
    if not a then
      add { reducer = name, what = "reducer added", accepted = true }
    elseif not b then
      add { reducer = name, what = "reducer removed", accepted = true, breaks = "clients that call it" }
    elseif fields_text(a.params) ~= fields_text(b.params) then
      add { reducer = name, what = "its parameters changed", accepted = true, breaks = "clients that call it" }
    end
  end
  return list
end

---The same as text, a line each.
---@param changes table[]
---@return string
function schema_changes.text(changes)
  if #changes == 0 then return "nothing changes" end
  local lines = {}
  for i, change in ipairs(changes) do
    lines[i] = ("%s %s: %s%s%s"):format(change.table and "table" or "reducer", change.table or change.reducer, change.what,
      change.accepted and "" or " (the server refuses it)", change.breaks and "; breaks " .. change.breaks or "")
  end
  return table.concat(lines, "\n")
end

return schema_changes
