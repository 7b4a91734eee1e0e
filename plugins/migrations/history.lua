-- history.lua: the table schema_migration: what was applied, and whether the folder still says the same.
--
-- A row's `status`: running, failed, stopped (a migration that is not through; what has a checkpoint with `run` goes on there), applied, baseline (taken as
-- applied, never run), reverted, removed (its file went, by baseline). An applied one whose way back failed stays applied, with the error.

local iu = require "inner_universe"

local history = {}

local TABLE = "schema_migration"
local APPLIED = { applied = true, baseline = true }
local UNFINISHED = { running = true, failed = true, stopped = true }

history.TABLE, history.APPLIED = TABLE, APPLIED

---A row as the methods tell it; its checkpoint decoded.
---@param row table
---@return table
function history.decode(row)
  local checkpoint = row.checkpoint ~= "" and iu.json.decode(row.checkpoint) or nil
  return {
    version = row.version, number = math.tointeger(tonumber(row.version)) or 0, name = row.name, checksum = row.checksum, status = row.status, step = row.step,
    checkpoint = type(checkpoint) == "table" and checkpoint or nil, error = row.error ~= "" and row.error or nil, applied_at = row.applied_at,
    duration_ms = row.duration_ms, applied_by = row.applied_by,
  }
end

---Is it applied, as far as the next one is concerned?
---@param row? table
---@return boolean
function history.is_applied(row) return row ~= nil and APPLIED[row.status] == true end

---Is it in the middle, with a checkpoint to go on from?
---@param row? table
---@return boolean
function history.is_halfway(row)
  return row ~= nil and UNFINISHED[row.status] == true and row.checkpoint ~= nil and row.checkpoint.run ~= nil
end

---Rows of the table, decoded, by number.
---@param rows table[]
---@return table[]
function history.in_order(rows)
  local list = {}
  for i, row in ipairs(rows) do list[i] = history.decode(row) end
  table.sort(list, function(a, b) return a.number < b.number end)
  return list
end

---All of a universe.
---@param conn inner_universe.Connection
---@return table[]?, inner_universe.Error?
function history.read(conn)
  local rows, err = conn:select(TABLE, { order_by = "version" })
  if not rows then return nil, err end
  return history.in_order(rows)
end

-- Text that a row takes: valid UTF-8 within a number of bytes.
local function clipped(text, limit)
  if utf8.len(text) == nil then text = text:gsub("[\128-\255]", "?") end
  if #text <= limit then return text end
  local last = limit - 3
  while last > 0 and text:byte(last + 1) & 0xC0 == 0x80 do last = last - 1 end
  return text:sub(1, last) .. "..."
end

---The fields of record_migration, in order and by name.
---@param migration { version, name, checksum }
---@param what { status, step, checkpoint, error, duration_ms }
---@param error_bytes_max integer
---@return table
function history.fields(migration, what, error_bytes_max)
  return {
    version = migration.version, name = migration.name, checksum = migration.checksum or "", status = what.status, step = what.step or 0,
    checkpoint = what.checkpoint and assert(iu.json.encode(what.checkpoint)) or "", error = clipped(what.error or "", error_bytes_max),
    duration_ms = math.max(0, math.floor(what.duration_ms or 0)),
  }
end

---Records one, in a call of its own.
---@param conn inner_universe.Connection
---@param fields table of history.fields
---@return true?, inner_universe.Error?
function history.record(conn, fields)
  return conn:call("record_migration", fields.version, fields.name, fields.checksum, fields.status, fields.step, fields.checkpoint, fields.error,
    fields.duration_ms)
end

local function problem(list, kind, version, file, message)
  list[#list + 1] = { kind = kind, version = version, file = file, message = message }
end

---What does not fit: { kind = "changed" | "missing" | "out_of_order" | "unreadable", version, file, message }.
---@param entries table[] of files.list, those that could be loaded with `checksum`, the others with `err`
---@param rows table[] of history.read
---@return table[]
function history.problems(entries, rows)
  local list, by_version, by_number, highest = {}, {}, {}, nil
  for _, entry in ipairs(entries) do by_version[entry.version], by_number[entry.number] = entry, entry end
  for _, row in ipairs(rows) do
    local entry = by_version[row.version] or by_number[row.number]
    if history.is_applied(row) then
      if not highest or row.number > highest.number then highest = row end
      if not entry then
        problem(list, "missing", row.version, row.name .. ".lua",
          ("%s.lua: it was applied, and is not in the folder any more: bring it back, or run `baseline`, which takes the folder as it is"):format(row.name))
      elseif entry.checksum and row.checksum ~= "" and entry.checksum ~= row.checksum then
        problem(list, "changed", row.version, entry.path,
          ("%s: it was changed after it had been applied: undo that, `redo` it (down, and up as it is now), or `baseline` takes it as it is"):format(
            entry.path))
      end
    end
  end
  for _, entry in ipairs(entries) do
    local row
    for _, each in ipairs(rows) do
      if each.number == entry.number then row = each end
    end
    if entry.err then problem(list, "unreadable", entry.version, entry.path, entry.err.message) end
    if highest and entry.number < highest.number and not history.is_applied(row) then
      problem(list, "out_of_order", entry.version, entry.path,
        ("%s: it is new, but %s was applied before: give it a higher number, or allow it (`--allow-out-of-order`)"):format(entry.path, highest.name))
    end
  end
  return list
end

---The err that a list of problems is.
---@param problems table[]
---@return inner_universe.Error
function history.error_of(problems)
  local message = problems[1].message
  if #problems > 1 then message = ("%s (and %d more: `iu migrate verify`)"):format(message, #problems - 1) end
  return iu.errors.new("MigrationError", message, { code = problems[1].kind:upper(), details = { problems = problems } })
end

return history
