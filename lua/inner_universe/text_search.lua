-- Full text search by SQLite's FTS5 over texts of a table: `conn:search_text(index, text, options)`.
--
-- An index: { table, key = its key column (text), json = a column of JSON, texts = { { name, weight } } }: texts at keys of that object. It is
-- `_iu_text_<table>` in the universe's file, made by the first search and kept by the fold (core/journal/text_index.h), so a search folds first
-- and finds what is committed. A universe without a file has it in memory (core/engine/text_indexes.c): a search brings it up to date, a slice at a time with
-- turns of the loop in between, and asks it where it is, on this thread.

local runtime = require("inner_universe.runtime")
local errors = require("inner_universe.errors")
local check = require("inner_universe.check")

local text_search = {}

local OPTIONS = { limit = "integer", offset = "any", syntax = "string", where = "table", timeout = "number" }
local LIMIT = 100
local SYNTAX = { plain = true, fts5 = true }
local WORDS = 12 -- of a snippet
local BUILD_TIMEOUT = 600 -- seconds
local TIMEOUT = 30 -- seconds
local SLICE = 250 -- rows indexed in memory between two turns of the loop

local function invalid(format, ...)
  return nil, errors.new("ValidationError", format:format(...))
end

-- Text as people type it: each word quoted, so that nothing in it is an operator.
local function quoted(text)
  local words = {}
  for word in text:gsub("%z", " "):gmatch("%S+") do
    words[#words + 1] = '"' .. word:gsub('"', '""') .. '"'
  end
  return table.concat(words, " ")
end

local function check_options(options)
  local ok, err = check.options("search", options, OPTIONS)
  if not ok then return nil, err end
  local offset = options.offset
  if offset ~= nil and not (math.type(offset) == "integer" and offset >= 0) then
    return invalid("search: offset: an integer from 0 expected, got %s", tostring(offset))
  end
  if options.syntax and not SYNTAX[options.syntax] then
    return invalid("search: syntax: one of plain, fts5 expected, got '%s'", options.syntax)
  end
  return true
end

-- The SQL ----------------------------------------------------------------------------------------------------------

local function names(index, between)
  local list = {}
  for i, text in ipairs(index.texts) do list[i] = text[1] end
  return table.concat(list, between)
end

-- A name that is no word of SQL's: `order`, `group`.
local function named(name) return '"' .. name .. '"' end

local function extracts(index)
  local list = {}
  for i, text in ipairs(index.texts) do list[i] = ("json_extract(t.%s, '$.%s')"):format(named(index.json), text[1]) end
  return table.concat(list, ", ")
end

-- core/journal/text_index.h says what these tables are. Whatever is there already stays.
local function create_sql(index)
  local fill = {
    ["$name"] = "_iu_text_" .. index.table, ["$table"] = index.table, ["$rows"] = named(index.table), ["$key"] = named(index.key), ["$json"] = index.json,
    ["$columns"] = named(names(index, '", "')), ["$texts"] = extracts(index), ["$list"] = names(index, ","),
  }
  return (([[
CREATE TABLE IF NOT EXISTS _iu_text_index (table_name TEXT PRIMARY KEY NOT NULL, json TEXT NOT NULL, texts TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS $name_key (n INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);
CREATE VIRTUAL TABLE IF NOT EXISTS $name USING fts5 ($columns, tokenize = 'unicode61 remove_diacritics 2');
INSERT INTO $name_key (key) SELECT $key FROM $rows WHERE $key NOT IN (SELECT key FROM $name_key);
INSERT INTO $name (rowid, $columns) SELECT k.n, $texts FROM $name_key AS k JOIN $rows AS t ON t.$key = k.key WHERE k.n NOT IN (SELECT rowid FROM $name);
INSERT OR IGNORE INTO _iu_text_index VALUES ('$table', '$json', '$list');
]]):gsub("%$%l+", fill))
end

-- `where`: equal columns of the table, by name.
local function search_sql(index, where)
  local name = "_iu_text_" .. index.table
  local weights, conditions, params = {}, {}, {}
  for i, each in ipairs(index.texts) do weights[i] = ("%.1f"):format(each[2]) end
  for column, value in pairs(where or {}) do
    conditions[#conditions + 1] = (" AND t.%s = :w%d"):format(named(column), #conditions + 1)
    params["w" .. #conditions] = value
  end
  return ([[
SELECT k.key AS key, bm25(%s, %s) AS rank, snippet(%s, -1, '[', ']', '…', %d) AS snippet
FROM %s JOIN %s_key AS k ON k.n = %s.rowid JOIN %s AS t ON t.%s = k.key WHERE %s MATCH :text%s ORDER BY rank, k.key LIMIT :limit OFFSET :offset]]):format(
    name, table.concat(weights, ", "), name, WORDS, name, name, name, named(index.table), named(index.key), name, table.concat(conditions)), params
end

-- Searching ----------------------------------------------------------------------------------------------------------

-- What SQLite says of a text in its own language is the caller's error, in the words that are about the text.
local function told(err, options)
  if err.kind ~= "ValidationError" then return err end
  local about = options.syntax == "fts5" and "search: text: " or "search: "
  return errors.new("ValidationError", about .. err.message:gsub("^sql: ", ""), { cause = err })
end

local function is_made(conn, index)
  local rows, err = conn:sql("SELECT count(*) AS n FROM sqlite_schema WHERE name = ?", { "_iu_text_" .. index.table })
  if not rows then return nil, err end
  return rows[1].n > 0
end

local function late(timeout)
  return errors.new("TimeoutError", ("search: not done within %g s (option timeout)"):format(timeout))
end

local function ask_memory(core, index, sql, params, timeout)
  local ends = runtime.core.mono() + timeout
  local create = create_sql(index)
  while true do
    local more, err = core:text_sync(index.table, create, SLICE)
    if more == nil then return nil, err end
    if not more then break end
    if runtime.core.mono() >= ends then return nil, late(timeout) end
    runtime.tasks.sleep(0)
    if core:is_closed() then return nil, errors.new("ConnectionError", "search: the connection is closed", { code = "CLOSED", retryable = false }) end
  end
  local answer, err = core:text_sql(index.table, sql, params, math.max(ends - runtime.core.mono(), 0))
  if not answer then return nil, errors.is(err, "TimeoutError") and late(timeout) or err end
  local rows = {}
  for i, row in ipairs(answer.rows) do
    rows[i] = {}
    for at, column in ipairs(answer.columns) do rows[i][column] = row[at] end
  end
  return rows
end

-- In which of the two it is: true for memory; nil, err on a server.
local function in_memory(core)
  local path, err = core:file()
  if err then return nil, errors.new("ValidationError", "search: for embedded universes; a server has no text index", { cause = err }) end
  return path == nil
end

---@param conn inner_universe.Connection
---@param core table its core
---@param extend fun(sql: string, timeout: number): any, any
---@param known table what is known of this connection's indexes
---@param index table
---@param text string
---@param options table
---@return { key: string, rank: number, snippet: string }[]? found
---@return inner_universe.Error? err
function text_search.search(conn, core, extend, known, index, text, options)
  local ok, err = check_options(options)
  if not ok then return nil, err end
  local match = options.syntax == "fts5" and text or quoted(text)
  local memory
  memory, err = in_memory(core)
  if err then return nil, err end
  if not core:knows("tables", index.table) then return invalid("search: no table `%s`", index.table) end
  if match == "" then return {} end
  if not memory and not known[index.table] then
    local made
    made, err = is_made(conn, index)
    if made == false then
      made, err = extend(create_sql(index), BUILD_TIMEOUT)
      if not made and errors.is(err, "OverloadedError") then -- by another task, which is there first
        repeat
          runtime.tasks.sleep(0.01)
          made, err = is_made(conn, index)
        until made ~= false
      end
    end
    if not made then return nil, err end
    known[index.table] = true
  end
  local sql, params = search_sql(index, options.where)
  params.text, params.limit, params.offset = match, options.limit or LIMIT, options.offset or 0
  local rows
  if memory then
    rows, err = ask_memory(core, index, sql, params, options.timeout or TIMEOUT)
  else
    rows, err = conn:sql(sql, params, { timeout = options.timeout })
  end
  if not rows then return nil, told(err, options) end
  return rows
end

return text_search
