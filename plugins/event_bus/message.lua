-- message.lua: rows of the log as messages, and failures as data (in dead letters and replies) and back.
--
-- A message: { id, type, source, timestamp, data, sequence, actor }, a new table each time. A failure that crosses the log keeps kind, code, message,
-- retryable, details and its chain of causes, CAUSES_MAX of them; what is no JSON value (details, a raised table) crosses as text.

local iu = require "inner_universe"

local message = {}

local CAUSES_MAX = 8

local rows -- the manager's

--- Once per universe: the hooks between rows and users (`manager.rows`), through which data is read.
function message.read_through(through) rows = through end

--- The data of a row. Reducers refuse data that is no JSON, so one that does not parse was changed on the disk: nil, StorageError.
---@param row table
---@return any data
---@return inner_universe.Error? err
function message.data(row)
  local data, err = iu.json.decode(row.data)
  if data == nil then return nil, iu.errors.wrap("StorageError", ("event %s: its stored data is damaged"):format(row.event_id), err) end
  if not rows.reading.active then return data end
  local read
  read, err = rows:read("event", { event_id = row.event_id, event_type = row.event_type, data = data })
  if not read then return nil, err end
  return read.data
end

---@param row table
---@return inner_universe.Message?
---@return inner_universe.Error? err
function message.of_row(row)
  local data, err = message.data(row)
  if err then return nil, err end
  return {
    id = row.event_id, type = row.event_type, source = row.source ~= "" and row.source or nil, timestamp = row.timestamp, data = data,
    sequence = row.sequence, actor = row.actor,
  }
end

-- Text that JSON takes.
local function text(value)
  local shown, out = pcall(tostring, value)
  if not shown then return ("(a %s that cannot be shown)"):format(type(value)) end
  if utf8.len(out) then return out end
  return (out:gsub("[\x80-\xff]", function(byte) return ("\\x%02X"):format(byte:byte()) end))
end

local function plain(value)
  if value == nil then return nil end
  return iu.json.encode(value) and value or text(value)
end

--- What happened as a JSON value: any err, or anything that was raised.
---@param err any
---@return table
function message.of_failure(err, depth)
  depth = depth or 1
  if not iu.errors.is(err) then return { raised = plain(err) or "nil" } end
  return {
    kind = err.kind, code = text(err.code), message = text(err.message), retryable = err.retryable == true, details = plain(err.details),
    cause = err.cause ~= nil and depth < CAUSES_MAX and message.of_failure(err.cause, depth + 1) or nil,
  }
end

local KINDS = {}
for _, kind in ipairs(iu.errors.kinds()) do KINDS[kind] = true end

--- The err that such a value is; a kind that is not known here becomes a PersistenceError.
---@param value any
---@return any err
function message.to_failure(value, depth)
  depth = depth or 1
  if type(value) ~= "table" then return iu.errors.new("PersistenceError", text(value)) end
  if value.raised ~= nil then
    if depth > 1 then return value.raised end
    return iu.errors.new("PersistenceError", text(value.raised), { code = "RAISED", cause = value.raised })
  end
  local code, retryable, cause = value.code, value.retryable, value.cause
  return iu.errors.new(KINDS[value.kind] and value.kind or "PersistenceError", text(value.message), {
    code = type(code) == "string" and code or nil, details = type(value.details) == "table" and value.details or nil,
    retryable = type(retryable) == "boolean" and retryable or nil,
    cause = cause ~= nil and depth < CAUSES_MAX and message.to_failure(cause, depth + 1) or nil,
  })
end

return message
