-- rows.lua: the rows that a question in SQL gives, printed: aligned on a terminal, with tabs between them in a pipe, or as JSON.

local core = require("inner_universe.core")
local iu = require("inner_universe")
local out = require("inner_universe.cli.out")

local rows = {}

local INPUT_MAX = 16 * 1024 * 1024 -- bytes of SQL taken from standard input

---The options of a command that prints rows, with those of its own.
function rows.options(own)
  local options = own or {}
  options.json = { help = "an array of objects, one per row" }
  options.table = { help = "aligned, whatever standard output is" }
  options.tsv = { help = "tabs between values, whatever standard output is" }
  return options
end

---The SQL that an argument is, or `-` names; nil: there is none.
function rows.sql(argument)
  local sql = argument
  if sql == "-" then sql = io.stdin:read(INPUT_MAX) or "" end
  return sql:find("%S") and sql or nil
end

---Bytes as SQL writes them.
function rows.hex(bytes)
  return "X'" .. bytes:gsub(".", function(c) return ("%02X"):format(c:byte()) end) .. "'"
end

local function is_bytes(value)
  return not utf8.len(value) or value:find("\0", 1, true) ~= nil
end

-- A nested value with its bytes in hex, which JSON can say.
local function readable(value)
  if type(value) == "string" then return is_bytes(value) and rows.hex(value) or value end
  if type(value) ~= "table" then return value end
  local copy = {}
  for key, inner in next, value do
    copy[key] = readable(inner)
  end
  return setmetatable(copy, getmetatable(value))
end

local function json_of(value)
  value = readable(value)
  return iu.json.encode(value == nil and core.null or value) or assert(iu.json.encode(tostring(value)))
end

-- A value as text that is valid UTF-8; NULL is nil. `of_bytes` says how bytes look [hex].
local function text_of(value, of_bytes)
  if value == nil or value == core.null then return nil end
  if type(value) == "string" then return is_bytes(value) and (of_bytes or rows.hex)(value) or value end
  return type(value) == "table" and json_of(value) or tostring(value)
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
  local cells, right = {}, {}
  for i = 1, #result.columns do
    right[i] = #result.rows > 0
  end
  for r, row in ipairs(result.rows) do
    cells[r] = {}
    for i = 1, #result.columns do
      if type(row[i]) == "string" or type(row[i]) == "table" then right[i] = false end
      cells[r][i] = shown(text_of(row[i], how_many) or "NULL")
    end
  end
  out.write(out.table(result.columns, cells, { right = right, width = out.is_terminal() and out.width() or nil }))
  out.line("(%s)", out.count(#cells, "row"))
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
      parts[i] = name .. json_of(row[i])
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

---Prints a result: columns = names, rows = arrays of values, NULL being `null` or nil.
---@param result { columns: string[], rows: any[][] }
---@param options { json?: boolean, table?: boolean, tsv?: boolean }
function rows.print(result, options)
  if #result.columns > 0 then printer(options)(result) end
end

return rows
