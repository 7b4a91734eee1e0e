-- reading.lua: going through an export from its first line to its last, with everything checked that the file says of itself.

local iu = require "inner_universe"

local plugin = ...
local rows = plugin.load "rows"
local lines = plugin.load "lines"
local files = plugin.load "files"

local M = {}

local function invalid(message, ...)
  return nil, iu.errors.new("ValidationError", message:format(...))
end

-- Goes through the rows of a file: `on_slice(name, slice, bytes, count, hash)` for each slice, `on_table(name, count, hash)` at the end of each table. A
-- table's rows are all together, in the order of the header; the trailer must say what came.
local function walk(conn, reader, header, on_slice, on_table)
  local order, counts = {}, {}
  for i, t in ipairs(header.tables) do order[t.name] = i end
  local current, slice, bytes, count, hash = 0, {}, 0, 0, ""

  local function close_slice()
    if #slice == 0 then return true end
    hash = rows.chain(hash, slice)
    local ok, err = on_slice(header.tables[current].name, slice, bytes, count, hash)
    slice, bytes = {}, 0
    return ok, err
  end

  -- Tables that have no row are ended on the way.
  local function advance(to)
    while current < to do
      if current > 0 then
        local name = header.tables[current].name
        local ok, err = close_slice()
        if not ok then return nil, err end
        counts[name] = { rows = count, hash = hash }
        ok, err = on_table(name, count, hash)
        if not ok then return nil, err end
      end
      current, count, hash = current + 1, 0, ""
    end
    return true
  end

  while true do
    local line, err = reader.line()
    if err then return nil, err end
    if not line then return invalid("line %d: the file ends here without its last line: it was cut", reader.at) end
    local found
    found, err = lines.read(conn, line, reader.at)
    if not found then
      if reader.cut then return nil, iu.errors.wrap("ValidationError", ("line %d: the file ends inside of this line: it was cut"):format(reader.at), err) end
      return nil, err
    end
    if found.trailer then
      local ok
      ok, err = advance(#header.tables + 1)
      if not ok then return nil, err end
      for i, t in ipairs(found.trailer) do
        local have = counts[t.table]
        if not have or have.rows ~= t.rows or have.hash ~= t.hash or not header.tables[i] or header.tables[i].name ~= t.table then
          return invalid("line %d: table `%s` has %s rows with the hash %s, expected %s with %s", reader.at, tostring(t.table), have and have.rows or "no",
            have and have.hash or "none", tostring(t.rows), tostring(t.hash))
        end
      end
      if found.header ~= header.hash then return invalid("line 1: the header has changed: its hash is another one") end
      if #found.trailer ~= #header.tables then return invalid("line %d: the end names %d tables, the header %d", reader.at, #found.trailer, #header.tables) end
      line, err = reader.line()
      if err then return nil, err end
      if line then return invalid("line %d: there is more behind the end", reader.at) end
      return counts
    end
    local place = order[found.name]
    if not place or place < current then return invalid("line %d: a row of table `%s` is out of place", reader.at, found.name) end
    if place > current then
      local ok
      ok, err = advance(place)
      if not ok then return nil, err end
    end
    if found.number ~= count + 1 then
      return invalid("line %d: row %d of table `%s`, expected row %d: lines are missing, twice or moved", reader.at, found.number, found.name, count + 1)
    end
    count = count + 1
    slice[#slice + 1] = found.bytes
    bytes = bytes + #found.bytes
    if #slice >= rows.SLICE_ROWS or bytes >= rows.SLICE_BYTES then
      local ok
      ok, err = close_slice()
      if not ok then return nil, err end
    end
  end
end

---The reader behind the header, and the header; nil, nil, err.
local function open(path, env)
  local reader, err = files.reader(path, env.ctx.config.line_bytes)
  if not reader then return nil, nil, err end
  local line
  line, err = reader.line()
  local header
  if line then header, err = lines.read_header(line) end
  if not header then
    reader.close()
    return nil, nil, err or iu.errors.new("ValidationError", path .. ": empty, no export")
  end
  return reader, header
end

---One pass over the file. What is wrong with a file comes as nil, ValidationError with the line.
---@return table<string, { rows: integer, hash: string }>? counts, inner_universe.Error? err
function M.pass(path, env, conn, on_slice, on_table)
  local opened, header, err = open(path, env)
  if not opened then return nil, err end
  local reader <close> = opened
  local counts, why = walk(conn, reader, header, on_slice, on_table)
  return counts, why
end

---The header of a file; nil, err.
function M.header(path, env)
  local reader, header, err = open(path, env)
  if not reader then return nil, err end
  reader.close()
  return header
end

return M
