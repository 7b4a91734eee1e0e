-- What differs between two declarations of one module, in words.

local types = require("inner_universe.module_types")

local difference = {}

local function both(a, b)
  local names, seen = {}, {}
  for _, t in ipairs({ a, b }) do
    for name in pairs(t) do
      if not seen[name] then names[#names + 1] = name end
      seen[name] = true
    end
  end
  table.sort(names)
  return names
end

local function columns_text(columns)
  local out = {}
  for i, column in ipairs(columns) do
    out[i] = ("%s %s%s"):format(column.name, types.text(column.type), column.default ~= nil and " = " .. tostring(column.default) or "")
  end
  return table.concat(out, ", ")
end

local function named_text(declared)
  return (declared.variants and "sum " or "") .. columns_text(declared.variants or declared.fields)
end

local function names_text(columns)
  local names = {}
  for i, column in ipairs(columns) do names[i] = column.name end
  return table.concat(names, ", ")
end

local function lists_text(list, of)
  local out = {}
  for i, each in ipairs(list) do out[i] = ("(%s)"):format(names_text(of and each[of] or each)) end
  table.sort(out)
  return table.concat(out, " ")
end

-- Name of a trait of a table -> its text.
local function table_traits(def)
  return {
    columns = columns_text(def.columns),
    ["primary key"] = def.primary_key and def.primary_key.name or "none",
    auto_inc = names_text(def.sequences),
    unique = lists_text(def.unique),
    indexes = lists_text(def.indexes, "columns"),
    public = tostring(def.public),
    scheduled = def.scheduled and def.scheduled.reducer or "no",
  }
end

local function compare(out, what, a, b, text)
  for _, name in ipairs(both(a, b)) do
    if not a[name] then
      out[#out + 1] = ("%s %s was added"):format(what, name)
    elseif not b[name] then
      out[#out + 1] = ("%s %s was removed"):format(what, name)
    elseif text(a[name]) ~= text(b[name]) then
      out[#out + 1] = ("%s %s: (%s) became (%s)"):format(what, name, text(a[name]), text(b[name]))
    end
  end
end

---@param a table module.parts of the old one
---@param b table of the new one
---@return string[]
function difference.list(a, b)
  local out = {}
  compare(out, "type", a.types, b.types, named_text)
  compare(out, "table", a.tables, b.tables, function() return "" end)
  for _, name in ipairs(both(a.tables, b.tables)) do
    if a.tables[name] and b.tables[name] then
      local old, new = table_traits(a.tables[name]), table_traits(b.tables[name])
      compare(out, ("table %s:"):format(name), old, new, function(text) return text end)
    end
  end
  compare(out, "reducer", a.reducers, b.reducers, function(reducer) return columns_text(reducer.params) end)
  compare(out, "reducer", a.lifecycle, b.lifecycle, function() return "" end)
  return out
end

return difference
