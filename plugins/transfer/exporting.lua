-- exporting.lua: a universe as a file of JSON lines (lines.lua). What is written is what the source holds at one moment; memory: a slice of rows.

local iu = require "inner_universe"

local plugin = ...
local tables = plugin.load "tables"
local rows = plugin.load "rows"
local lines = plugin.load "lines"
local files = plugin.load "files"
local copying = plugin.load "copying"
local progresses = plugin.load "progress"

local M = {}

local TURN_EVERY = 16

-- True and the version, which is nil where there is none; or nil, err.
local function schema_version(from)
  if not from.schema.tables.config then return true end
  local row, err = from.conn:get("config", "schema_version")
  if err then return nil, err end
  return true, row and row.value
end

local function write_table(from, writer, name, slices, progress)
  local count, hash, turns = 0, "", 0
  for slice in slices do
    for i, bytes in ipairs(slice) do
      local line, err = lines.row(from.conn, name, count + i, bytes)
      if not line then return nil, err end
      local ok
      ok, err = writer.write(line)
      if not ok then return nil, err end
    end
    count, hash, turns = count + #slice, rows.chain(hash, slice), turns + 1
    progress.add(name, #slice)
    if turns % TURN_EVERY == 0 then iu.sleep(0) end
  end
  return { rows = count, hash = hash }
end

local function count_rows(slices)
  local count = 0
  for slice in slices do count = count + #slice end
  return count
end

local function write_all(env, from, writer, names, options)
  local view, err = copying.look(env, from, names, options)
  if not view then return nil, err end
  local about, total = iu.array {}, 0
  for i, name in ipairs(names) do
    about[i] = { name = name, columns = tables.columns(from.schema, name), definition = tables.definition(from.conn, name),
      rows = count_rows(view.again[name]) }
    total = total + about[i].rows
  end
  local ok, version = schema_version(from)
  if not ok then return nil, version end
  local header = lines.header { source = from.text, schema_version = version, since = options.since, heads = view.heads, tables = about }
  ok, err = writer.write(header .. "\n")
  if not ok then return nil, err end
  local progress = progresses.new(env.ctx.clock, options.progress, total)
  local report = { tables = {}, rows = total, from = from.text }
  for _, name in ipairs(names) do
    report.tables[name], err = write_table(from, writer, name, view.slices[name], progress)
    if not report.tables[name] then return nil, err end
  end
  ok, err = writer.write(lines.trailer(header, names, report.tables))
  if not ok then return nil, err end
  report.seconds = progress.seconds()
  return report
end

---@param env table
---@param from table end
---@param path string|file*
---@param options table checked
function M.export(env, from, path, options)
  local names, err = tables.choose(from.schema, options)
  if not names then return nil, err end
  local left_out
  names, left_out = tables.readable(from, names, options.tables)
  local ok
  ok, err = from.hold(env.with_heads(names))
  if not ok then return nil, err end
  local opened, why = files.writer(path)
  if not opened then return nil, why end
  local writer <close> = opened -- what is not finished goes
  local report
  report, err = write_all(env, from, writer, names, options)
  if not report then return nil, err end
  copying.tell_source(report, from, names, left_out, options)
  ok, err = writer.finish()
  if not ok then return nil, err end
  report.bytes, report.to = writer.bytes, tostring(path)
  return report
end

return M
