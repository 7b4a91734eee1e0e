-- conflicts.lua: rows that cannot be put beside those that are there: of the same key and other content (in a merge), or with a value that must be unique and
-- is another row's. Found by key and by index, so a row costs a look-up or two; told with both keys; counted, and the first ones listed.
--
-- A conflict is { key, other, columns?, value? }: of a row that comes, and of the one in its way; without columns they have the same key.

local iu = require "inner_universe"

local plugin = ...
local tables = plugin.load "tables"
local rows = plugin.load "rows"

local M = {}

---What is done about them (nothing is written; the rows that are there stay; the rows that come win), and the mode that it goes with.
M.WAYS = { refuse = "any", keep = "merge", replace = "overwrite" }

---How each mode can go on, behind the words of an error.
M.WAY_OUT = {
  new = "", merge = '; conflicts = "keep" leaves the target\'s rows as they are', overwrite = '; conflicts = "replace" removes the rows in the way',
}

local VALUE_MOST = 200 -- bytes of a value in a message

local function text_of(value, json)
  if value ~= value then return "NaN" end
  if math.type(value) == "integer" or type(value) == "userdata" or value == math.huge or value == -math.huge then return tostring(value) end
  return assert(iu.json.encode(json))
end

-- The values of an index's columns as people read them.
local function value_text(conn, name, bytes, row, columns)
  local json, parts = assert(iu.json.decode(assert(conn:row_json(name, bytes)))), {}
  for i, column in ipairs(columns) do parts[i] = text_of(row[column], json[column]) end
  local text = table.concat(parts, ", ")
  if #text <= VALUE_MOST then return text end
  return text:sub(1, utf8.offset(text, 0, VALUE_MOST + 1) - 1) .. "..."
end

-- Of the columns that must be unique in `schema` those that have such an index in `side`, too.
local function indexes_of(side, schema, name)
  local wanted, found = {}, {}
  for _, index in ipairs(tables.unique_indexes(schema, name)) do wanted[table.concat(index.columns, "\0")] = true end
  for _, index in ipairs(tables.unique_indexes(side.schema, name)) do
    if wanted[table.concat(index.columns, "\0")] then found[#found + 1] = index end
  end
  return found
end

local function key_in_index(row, columns)
  local key = {}
  for i, column in ipairs(columns) do key[i] = row[column] == nil and iu.null or row[column] end -- an option that is none
  return #columns == 1 and key[1] or key
end

---A function that is given a row (bytes) and answers what is in its way among the rows that `side` holds now: a list of conflicts, and the bytes of those rows;
---nil: nothing.
---@param side table end
---@param name string
---@param options { schema: table?, same_key: boolean? } schema: whose columns must be unique (side's own); same_key: another row of the same key is in the way
---@return fun(bytes: string): table[]?, string[]?
function M.finder(side, name, options)
  local conn, t = side.conn, side.conn.tables[name]
  local indexes = indexes_of(side, options.schema or side.schema, name)
  local key_of = tables.key_reader(conn, side.schema, name)
  local there = side.schema.tables[name].primary_key and rows.finder(conn, side.schema, name)
  return function(bytes)
    local key = key_of(bytes)
    local same = there and there(key)
    if same == bytes then return nil end
    local text = tables.key_text(key)
    if same and options.same_key then return { { key = text, other = text } }, { same } end
    if #indexes == 0 then return nil end
    local found, others
    local row = assert(conn:row_of_bytes(name, bytes))
    for _, index in ipairs(indexes) do
      local other = t:find(index.accessor, key_in_index(row, index.columns))
      local other_bytes = other and assert(conn:row_bytes(name, other))
      if other and other_bytes ~= same and other_bytes ~= bytes then
        found, others = found or {}, others or {}
        found[#found + 1] = { key = text, other = tables.key_text(key_of(other_bytes)), columns = iu.array { table.unpack(index.columns) },
          value = value_text(conn, name, bytes, row, index.columns) }
        others[#others + 1] = other_bytes
      end
    end
    return found, others
  end
end

---A conflict that was found from the other side.
function M.turned(conflict)
  return { key = conflict.other, other = conflict.key, columns = conflict.columns, value = conflict.value }
end

---A list of conflicts: all are counted (`unique`: those about columns), the first ones kept.
function M.list()
  return { count = 0, unique = 0, first = iu.array {} }
end

---@param named integer so many are kept
function M.add(list, conflict, named)
  list.count = list.count + 1
  if conflict.columns then list.unique = list.unique + 1 end
  if #list.first < named then list.first[#list.first + 1] = conflict end
end

---Both lists.
function M.joined(a, b, named)
  local list = { count = a.count + b.count, unique = a.unique + b.unique, first = iu.array { table.unpack(a.first) } }
  table.move(b.first, 1, math.min(#b.first, math.max(named - #a.first, 0)), #a.first + 1, list.first)
  return list
end

---A row in words: its key, and what is in its way.
function M.words_of(conflict)
  if not conflict.columns then return conflict.key .. " (differs)" end
  return ("%s (%s = %s is %s's)"):format(conflict.key, table.concat(conflict.columns, ", "), conflict.value, conflict.other)
end

---The first ones of a list in words.
function M.words(list)
  local parts = {}
  for i, conflict in ipairs(list.first) do parts[i] = list.unique > 0 and M.words_of(conflict) or conflict.key end
  return table.concat(parts, ", ") .. (list.count > #list.first and ", ..." or "")
end

---Of what was found before anything was written: an error, nil where there is nothing.
---@param lists table<string, table> by table
---@param names string[]
---@param mode string
---@return inner_universe.Error?
function M.refusal(lists, names, mode)
  local parts, unique = {}, false
  for _, name in ipairs(names) do
    local list = lists[name]
    if list and list.count > 0 then
      unique = unique or list.unique > 0
      parts[#parts + 1] = ("%s: %d %s (%s)"):format(name, list.count, list.unique > 0 and "in conflict" or "different", M.words(list))
    end
  end
  if #parts == 0 then return nil end
  local what = unique and "values that must be unique are other rows' in the target" or "rows of the same key that differ"
  return iu.errors.new("ConflictError", ("%s: %s%s%s"):format(what, table.concat(parts, "; "), M.WAY_OUT[mode],
    not unique and mode == "merge" and ', mode = "overwrite" takes those that come' or ""), { details = lists })
end

---Adds to a report how many rows were left out (skipped), how many gave way (replaced), and which, by table.
---@param told table<string, { skipped: table?, replaced: table? }>
function M.report(report, told)
  for _, kind in ipairs { "skipped", "replaced" } do
    report[kind] = 0
    for name, entry in pairs(told) do
      local list = entry[kind]
      if list and list.count > 0 then
        report[kind] = report[kind] + list.count
        report.tables[name][kind] = { count = list.count, first = list.first, words = M.words(list) }
      end
    end
  end
end

return M
