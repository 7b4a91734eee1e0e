-- rows.lua: raw rows of any table of a connection: counted, iterated over in pages by their key, and put back as they are.

local iu = require "inner_universe"

local plugin = ...
local work = plugin.load "work"

local must = work.must

local rows = {}

-- The toolkit's own tables whose rows a transaction can put as they are; a module's tables are written by its reducers, or in a working copy.
local OWN = {
  entity = true, relation = true, state_version = true, delta_record = true, state_snapshot = true, state_branch = true, event_log = true, event_cursor = true,
  row_history = true, config = true, permission = true, plugin_record = true,
}
rows.OWN = OWN

local function raise(kind, format, ...)
  error(iu.errors.new(kind, format:format(...)), 0)
end

local function definition(conn, name)
  local def = conn:schema().tables[name]
  if not def then raise("ValidationError", "there is no table `%s`", name) end
  return def
end

---@param conn inner_universe.Connection
---@param name string
---@param column? string only rows where this is `value`
---@param value? string
---@return integer
function rows.count(conn, name, column, value)
  definition(conn, name)
  local where = column and (" WHERE %s = '%s'"):format(column, value:gsub("'", "''")) or ""
  local found = must(conn:query(('SELECT COUNT(*) AS n FROM "%s"%s'):format(name, where)))
  return found[1].n
end

-- The rows behind a key, at most `size` (nil: all); without a key all of them.
local function page(conn, name, key, after, upto, size)
  if not key then return (must(conn:select(name, {}))) end
  local filters = {}
  if after ~= nil then filters[#filters + 1] = { field = key, operator = "GreaterThan", value = after } end
  if upto ~= nil then filters[#filters + 1] = { field = key, operator = "LessOrEqual", value = upto } end
  return (must(conn:select(name, { filters = filters, order_by = key, limit = size })))
end

---@param conn inner_universe.Connection
---@param name string
---@param size? integer of a page; nil: all at once
---@return fun(): table?
function rows.iterate(conn, name, size)
  local key = definition(conn, name).primary_key
  local list, at, after, last = {}, 0, nil, false
  return function()
    at = at + 1
    if at > #list and not last then
      list, at = page(conn, name, key, after, nil, size), 1
      last = not key or not size or #list < size
      after = key and #list > 0 and list[#list][key] or after
    end
    return list[at]
  end
end

---Rows of one of NERV's tables as operations that put them there byte for byte.
---@param conn inner_universe.Connection
---@param tx table
---@param name string
---@param list table[]
function rows.put(conn, tx, name, list)
  if #list == 0 then return end
  local bytes = iu.array {}
  for i, row in ipairs(list) do bytes[i] = must(conn:row_bytes(name, row)) end
  tx:join("ImportRows", { table = name, rows = bytes })
end

---Rows by text keys, gone.
function rows.remove(tx, name, keys)
  if #keys > 0 then tx:join("RemoveRows", { table = name, keys = iu.array(keys) }) end
end

---A source of work.batches: `fn(rows, put)`, where put(changed) writes rows in the transaction of the batch.
---@param exec table
---@param name string
---@param fn fun(rows: table[], put: fun(changed: table[]), tx: table)
---@return table
function rows.source(exec, name, fn)
  local key = definition(exec.conn(), name).primary_key
  return {
    table = name, key = key, raw = true, -- pages of what is committed, whatever the transaction wrote
    last = function()
      local found = must(exec.conn():select(name, { order_by = key, descending = true, limit = 1 }))
      return found[1] and found[1][key]
    end,
    count = function() return rows.count(exec.conn(), name) end,
    page = function(_, after, upto, size) return page(exec.conn(), name, key, after, upto, size) end,
    body = function(list, tx)
      fn(list, function(changed) exec.put_rows(tx, name, changed) end, tx)
    end,
  }
end

-- A row under another key would be one more beside the old one, and be met again further on.
local function check_answer(name, key, id, answer)
  if answer == nil or answer == false then return end
  local where = ("m:update_rows: table `%s`: row with %s = %s"):format(name, key, tostring(id))
  if type(answer) ~= "table" then raise("ValidationError", "%s: expected a row (a table by column), nil or false, got %s", where, type(answer)) end
  if answer[key] ~= id then raise("ValidationError", "%s: its key stays, got '%s'", where, tostring(answer[key])) end
end

---Goes through one of NERV's tables in batches: fn(row) answers a row that replaces it, nil (it stays) or false (it goes). Where others may write meanwhile
---(exec.shared) the rows that are changed are proven to be what was read.
---@param exec table
---@param name string
---@param fn fun(row: table): table|false|nil
---@param size? integer
---@param state table checkpoint
function rows.update(exec, name, fn, size, state)
  local key = definition(exec.conn(), name).primary_key
  exec.batches(rows.source(exec, name, function(list, put, tx)
    local changed, gone = {}, {}
    for _, row in ipairs(list) do
      local id = row[key]
      -- before the function may change the row
      local proof = exec.shared and type(id) == "string" and must(exec.conn():row_bytes(name, row))
      local answer = fn(row)
      check_answer(name, key, id, answer)
      if answer ~= nil and proof then tx:join("Expect", { table = name, key = id, row = proof }) end
      if answer == false then gone[#gone + 1] = id elseif answer ~= nil then changed[#changed + 1] = answer end
    end
    put(changed)
    rows.remove(tx, name, gone)
  end), size, state)
end

return rows
