-- query.lua: `iu query FILE SQL`: all of SQLite's SQL over the tables of a universe file, read-only. The universe is folded first when it
-- was not closed properly, so that the tables are up to date; the file is free again before the first row is printed.

local core = require("inner_universe.core")
local iu = require("inner_universe")
local out = require("inner_universe.cli.out")
local universe_file = require("inner_universe.cli.universe_file")

local query = {
  summary = "ask a universe file in SQL",
  usage = 'FILE "SELECT ..." [--json | --table | --tsv]',
  details = [[
All of SQLite's SQL, read-only: joins, aggregates, json_extract(metadata, '$.name'), ... `-` reads the SQL from standard input.
Each table has one column per field, nested values as JSON. On a terminal rows are aligned and cut to its width; in a pipe they are lines
of values with tabs between them, the names first; there NULL is empty, tab, newline and backslash are \t, \n, \\, and bytes are X'..'.
A universe that was not closed properly is opened and closed first, so that its tables are up to date; one that is in use is refused.

  iu query world.universe "SELECT entity_type, count(*) FROM entity GROUP BY 1"
  iu query world.universe "SELECT name FROM sqlite_schema WHERE type = 'table'"
  iu query world.universe "SELECT id, json_extract(metadata, '$.name') AS name FROM entity" --json]],
  options = {
    json = { help = "an array of objects, one per row" },
    table = { help = "aligned, whatever standard output is" },
    tsv = { help = "tabs between values, whatever standard output is" },
  },
  min = 2,
  max = 2,
}

local INPUT_MAX = 16 * 1024 * 1024 -- bytes of SQL taken from standard input

local function hex(bytes)
  return "X'" .. bytes:gsub(".", function(c) return ("%02X"):format(c:byte()) end) .. "'"
end

local function is_bytes(value)
  return not utf8.len(value) or value:find("\0", 1, true) ~= nil
end

-- A value as text that is valid UTF-8; NULL is nil. `of_bytes` says how bytes look [hex].
local function text_of(value, of_bytes)
  if value == nil or value == core.null then return nil end
  if type(value) == "string" then return is_bytes(value) and (of_bytes or hex)(value) or value end
  return tostring(value)
end

local function how_many(bytes)
  return ("<%d bytes>"):format(#bytes)
end

local ESCAPES = { ["\t"] = "\\t", ["\n"] = "\\n", ["\r"] = "\\r", ["\\"] = "\\\\" }

local function print_tsv(result)
  local function line(values)
    local cells = {}
    for i = 1, #result.columns do
      cells[i] = (text_of(values[i]) or ""):gsub("[\t\n\r\\]", ESCAPES)
    end
    out.write(table.concat(cells, "\t") .. "\n")
  end
  line(result.columns)
  for _, row in ipairs(result.rows) do
    line(row)
  end
end

-- Control characters would move the cursor.
local function shown(text)
  return (text:gsub("[\t\n\r]", " "):gsub("%c", "?"))
end

local function print_table(result)
  local rows, right = {}, {}
  for i = 1, #result.columns do
    right[i] = #result.rows > 0
  end
  for r, row in ipairs(result.rows) do
    rows[r] = {}
    for i = 1, #result.columns do
      if type(row[i]) == "string" then right[i] = false end
      rows[r][i] = shown(text_of(row[i], how_many) or "NULL")
    end
  end
  out.write(out.table(result.columns, rows, { right = right, width = out.is_terminal() and out.width() or nil }))
  out.line("(%s)", out.count(#rows, "row"))
end

-- Objects with the columns in their order, which a Lua table would not keep.
local function print_json(result)
  local names = {}
  for i, name in ipairs(result.columns) do
    names[i] = assert(iu.json.encode(name)) .. ":"
  end
  local first = true
  out.write("[")
  for _, row in ipairs(result.rows) do
    local parts = {}
    for i, name in ipairs(names) do
      local value = row[i]
      if type(value) == "string" then value = text_of(value) end
      parts[i] = name .. (iu.json.encode(value == nil and core.null or value) or assert(iu.json.encode(tostring(value))))
    end
    out.write((first and "\n" or ",\n") .. "{" .. table.concat(parts, ",") .. "}")
    first = false
  end
  out.write("\n]\n")
end

local function printer(options)
  if options.json then return print_json end
  if options.table then return print_table end
  if options.tsv then return print_tsv end
  return out.is_terminal() and print_table or print_tsv
end

function query.run(options, arguments)
  local path, wrong = universe_file.find(arguments[1])
  if not path then return out.fail("%s", wrong) end
  local sql = arguments[2]
  if sql == "-" then sql = io.stdin:read(INPUT_MAX) or "" end
  if not sql:find("%S") then return out.fail("no SQL") end
  local ok, err = universe_file.settle(path)
  if not ok then return out.fail("%s", out.message(err)) end
  local result
  result, err = universe_file.sql(path, sql)
  if not result then return out.fail("%s", out.message(err)) end
  if #result.columns > 0 then printer(options)(result) end
  return 0
end

return query
