-- lines.lua: the format of exports: JSON lines, one header, one line a row, one trailer. README.md, "The format", is its description.
--
-- Every row line has its table, its number within the table (from 1) and the first 16 hex digits of SHA-256 over its bytes; so a line that is missing, twice,
-- moved or changed is found where it is. The trailer has the rows and the hash (rows.lua) of each table, and says that the file is whole.

local iu = require "inner_universe"

local M = {}

M.FORMAT, M.VERSION = "inner_universe rows", 1
local DIGITS = 16
local LARGE = 1 << 20 -- bytes of a row's JSON

local encode, decode, sha256 = iu.json.encode, iu.json.decode, iu.sha256

local HEX_BYTES = 128 -- at once
local HEX = ("%02x"):rep(HEX_BYTES)

local function hex(bytes)
  local parts = {}
  for at = 1, #bytes, HEX_BYTES do
    local last = math.min(at + HEX_BYTES - 1, #bytes)
    parts[#parts + 1] = HEX:sub(1, 4 * (last - at + 1)):format(bytes:byte(at, last))
  end
  return table.concat(parts)
end

local BYTES = {} -- by their two digits
for byte = 0, 255 do
  for _, form in ipairs { "%02x", "%02X" } do BYTES[form:format(byte)] = string.char(byte) end
end

local function unhex(text)
  if #text % 2 ~= 0 or text:find("[^0-9a-f]") and (text:find("[^0-9A-F]") or text:find("%X")) then return nil end
  return (text:gsub("..", BYTES))
end

local function invalid(message, ...)
  return nil, iu.errors.new("ValidationError", message:format(...))
end

---@param about { source: string, schema_version: string?, since: integer?, heads: table, tables: table[] }
function M.header(about)
  return encode({
    format = M.FORMAT, version = M.VERSION, schema_version = about.schema_version, source = about.source, exported_at = iu.now(), since = about.since,
    heads = { events = about.heads[0], ids = about.heads[1], history = about.heads[2] }, tables = about.tables,
  })
end

---What the last line knows a header by.
function M.header_hash(line) return sha256(line) end

---A row's line. What JSON cannot say exactly (floats that are no numbers) is written as bytes, and a large row of which it would make much more (control
---characters): so no line is longer than twice the largest row.
---@return string?, inner_universe.Error?
function M.row(conn, name, number, bytes)
  local text, err = conn:row_json(name, bytes)
  if not text then return nil, err end
  local check = sha256(bytes):sub(1, DIGITS)
  if #text > LARGE and #text > 2 * #bytes or conn:row_of_json(name, text) ~= bytes then
    return ('{"table":%s,"n":%d,"hash":"%s","bytes":"%s"}\n'):format(encode(name), number, check, hex(bytes))
  end
  return ('{"table":%s,"n":%d,"hash":"%s","row":%s}\n'):format(encode(name), number, check, text)
end

---@param counts table<string, { rows: integer, hash: string }>
---@param header string its line
function M.trailer(header, names, counts)
  local list = iu.array {}
  for i, name in ipairs(names) do list[i] = { table = name, rows = counts[name].rows, hash = counts[name].hash } end
  return encode({ ["end"] = true, header = M.header_hash(header), tables = list }) .. "\n"
end

-- Reading ---------------------------------------------------------------------------------------------------------------

---@return table? header, inner_universe.Error?
function M.read_header(line)
  local value, err = decode(line)
  if type(value) ~= "table" or value.format ~= M.FORMAT then
    return nil, iu.errors.wrap("ValidationError", ("line 1: no export: expected {\"format\":\"%s\", ...}"):format(M.FORMAT), err)
  end
  if value.version ~= M.VERSION then
    return invalid("line 1: an export of version %s; this library reads version %d", tostring(value.version), M.VERSION)
  end
  if type(value.tables) ~= "table" then return invalid("line 1: no list of tables") end
  for i, t in ipairs(value.tables) do
    if type(t) ~= "table" or type(t.name) ~= "string" or type(t.columns) ~= "string" then return invalid("line 1: tables[%d] has no name and columns", i) end
  end
  local heads = type(value.heads) == "table" and value.heads or {}
  value.heads = {}
  for id, name in pairs { [0] = "events", "ids", "history" } do
    if math.type(heads[name]) == "integer" and heads[name] >= 0 then value.heads[id] = heads[name] end
  end
  value.hash = M.header_hash(line)
  return value
end

-- The JSON of a row as it stands in the line: our own lines end so; a line that somebody else wrote is taken apart and put together.
local function row_text(line, value)
  local text = line:match('^{"table":"[^"\\]*","n":%d+,"hash":"%x+","row":(.*)}%s*$')
  return text or encode(value.row)
end

---A line behind the header: a row { name, number, bytes } or the trailer { trailer = { ... } }. The hash of a row has been checked.
---@return table?, inner_universe.Error?
function M.read(conn, line, at)
  local value, err = decode(line)
  if type(value) ~= "table" then return nil, iu.errors.wrap("ValidationError", ("line %d: not a JSON object"):format(at), err) end
  if value["end"] == true and type(value.tables) == "table" then return { trailer = value.tables, header = value.header } end
  if type(value.table) ~= "string" or math.type(value.n) ~= "integer" or type(value.hash) ~= "string" then
    return invalid("line %d: neither a row (table, n, hash, row) nor the end", at)
  end
  local bytes
  if type(value.bytes) == "string" then bytes = unhex(value.bytes)
  elseif value.row ~= nil then bytes, err = conn:row_of_json(value.table, row_text(line, value)) end
  if not bytes then return nil, iu.errors.wrap("ValidationError", ("line %d: no row of table `%s`"):format(at, value.table), err) end
  if sha256(bytes):sub(1, DIGITS) ~= value.hash then return invalid("line %d: the row has changed: its hash is another one", at) end
  return { name = value.table, number = value.n, bytes = bytes }
end

return M
