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

local function fields_text(fields)
  local out = {}
  for i, field in ipairs(fields) do out[i] = ("%s %s"):format(field.name or field[1], iu.json.encode(field.type or field[2])) end
  return table.concat(out, ", ")
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

-- What happened to the columns, in the words of a user; nil where nothing did.
local function columns_change(old, new)
  if fields_text(old) == fields_text(new) then return nil end
  local was, is = {}, {}
  for i, column in ipairs(old) do was[column.name] = { column = column, at = i } end
  for i, column in ipairs(new) do is[column.name] = { column = column, at = i } end
  local parts = {}
  for _, column in ipairs(old) do
    local now = is[column.name]
    if not now then
      parts[#parts + 1] = ("column %s was removed"):format(column.name)
    elseif fields_text { now.column } ~= fields_text { column } then
      parts[#parts + 1] = ("column %s has another type"):format(column.name)
    elseif now.at ~= was[column.name].at then
      parts[#parts + 1] = ("column %s moved"):format(column.name)
    end
  end
  for i, column in ipairs(new) do
    if not was[column.name] then parts[#parts + 1] = ("column %s was %s"):format(column.name, i > #old and "appended" or "inserted") end
  end
  return table.concat(parts, ", ")
end

---The differences: array of { what, table or reducer, accepted (by 1.x, with rows there), breaks (who, or nil) }.
---@param old table conn:schema()
---@param new table
---@return table[]
function schema_changes.list(old, new)
  local list = iu.array {}
  local function add(change) list[#list + 1] = change end
  for _, name in ipairs(names_of(old.tables, new.tables)) do
    local a, b = old.tables[name], new.tables[name]
    if not a then
      add { table = name, what = "table added", accepted = true }
    elseif not b then
      add { table = name, what = "table removed", accepted = false, breaks = "clients that read or subscribe it" }
    else
      local columns = columns_change(a.columns, b.columns)
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
