-- records.lua: what a run is in plugin_record: keys, values as JSON text, errors that survive being written.
--
--   workflow.run:<id>          { uid, name, version, input, at }: written once, by start; makes start idempotent
--   workflow.live:<uid>        the state of a run that has not ended, small, and the lease on it: the row's revision is the fencing number, its
--                              expires_at the lease's end (1, long ago, while nobody holds it). Every write of a run puts it, too
--   workflow.step:<uid>:<n>    what happened at the n-th call of wf
--   workflow.undo:<uid>:<n>    what became of the compensation of step n
--   workflow.signal:<uid>:<k>  a signal that nobody has taken; <k> is "cancel" for the wish to cancel
--   workflow.done:<uid>        the end, in place of workflow.live
--
-- A uid is a UUIDv7 that start makes: keys have a known shape whatever the id is, runs are in the order of their start, and an id that is used again after
-- pruning is another run.

local iu = require "inner_universe"

local records = {}

local CAUSES_MAX = 8 -- links of a chain of causes that are written
local MESSAGE_MAX = 65536 -- bytes of a message, and of details, that are written
local AROUND = 16 -- containers around the details of an error in a record, at most

records.UNHELD = 1 -- expires_at of a live row that nobody holds
records.CANCEL = "cancel"

function records.run_key(id) return "workflow.run:" .. id end
function records.live_key(uid) return "workflow.live:" .. uid end
function records.done_key(uid) return "workflow.done:" .. uid end
function records.step_key(uid, n) return ("workflow.step:%s:%06d"):format(uid, n) end
function records.undo_key(uid, n) return ("workflow.undo:%s:%06d"):format(uid, n) end
function records.signal_key(uid, which) return ("workflow.signal:%s:%s"):format(uid, which) end

--- Bounds of the keys that begin so: low <= key < high.
---@param kind "live"|"done"|"step"|"undo"|"signal"
---@param uid? string only that run's (step, undo, signal)
---@return string low, string high
function records.range(kind, uid)
  local stem = "workflow." .. kind
  if uid then stem = stem .. ":" .. uid end
  return stem .. ":", stem .. ";"
end

--- The rows of a range, in the order of their keys.
---@return table[]?, inner_universe.Error?
function records.select(conn, kind, uid, descending, limit)
  local low, high = records.range(kind, uid)
  return conn:select("plugin_record", {
    filters = { { "key", "GreaterOrEqual", low }, { "key", "LessThan", high } }, order_by = "key", descending = descending or nil, limit = limit,
  })
end

--- A row's value, which reducers take for JSON without looking: StorageError where it is none.
---@return table?, inner_universe.Error?
function records.decode(row)
  local value, err = iu.json.decode(row.value)
  if type(value) == "table" then return value end
  return nil, iu.errors.wrap("StorageError", ("record %s: its stored value is damaged"):format(row.key), err)
end

--- Whether a user's value can be written as JSON, in a record, and has at most `max` bytes.
---@param what string names it in messages, as in 'the result of step "charge"'
---@return true?, inner_universe.Error? err
function records.bounded(value, what, max)
  local text = iu.json.encode { value } -- a record is one container more: JSON has a depth
  if not text then
    local _, err = iu.json.encode(value)
    err = err or iu.errors.new("ValidationError", "nesting deeper than 511")
    return nil, iu.errors.new("ValidationError", ("%s: %s"):format(what, err.message), { cause = err })
  end
  if #text - 2 > max then
    return nil, iu.errors.new("ValidationError", ("%s: %d bytes of JSON, expected at most %d (bytes_max)"):format(what, #text - 2, max))
  end
  return true
end

-- Errors --------------------------------------------------------------------------------------------------------------

local KINDS = {}
for _, kind in ipairs(iu.errors.kinds()) do KINDS[kind] = true end

-- A text that JSON takes: bytes that are no UTF-8 are shown as \xNN, and what is too long is cut.
local function clean(text)
  text = tostring(text)
  if #text > MESSAGE_MAX then text = text:sub(1, MESSAGE_MAX) .. "..." end
  if utf8.len(text) then return text end
  local out, at = {}, 1
  while at <= #text do
    local _, bad = utf8.len(text, at)
    if not bad then
      out[#out + 1] = text:sub(at)
      break
    end
    out[#out + 1] = text:sub(at, bad - 1) .. ("\\x%02X"):format(text:byte(bad))
    at = bad + 1
  end
  return table.concat(out)
end

local function shown(value)
  local ok, text = pcall(tostring, value)
  return clean(ok and text or "(cannot be shown)")
end

-- Whether details can be written where they will be: JSON has a depth.
local function fit(details)
  local text, wrapped = details ~= nil and iu.json.encode(details) or nil, details
  if not text or #text > MESSAGE_MAX then return false end
  for _ = 1, AROUND do wrapped = { wrapped } end
  return iu.json.encode(wrapped) ~= nil
end

--- An err as a plain table, with its causes, which can always be written.
function records.pack_error(err, depth)
  depth = depth or 1
  local out = { kind = err.kind, code = err.code ~= nil and clean(err.code) or nil, message = clean(err.message), retryable = err.retryable == true }
  if fit(err.details) then out.details = err.details end
  local cause = err.cause
  if cause == nil or depth > CAUSES_MAX then return out end
  if iu.errors.is(cause) then out.cause = records.pack_error(cause, depth + 1) else out.cause_text = shown(cause) end
  return out
end

--- The err that such a table was made of; a cause that was no err is its text.
---@return inner_universe.Error
function records.unpack_error(packed)
  local cause = packed.cause_text
  if packed.cause then cause = records.unpack_error(packed.cause) end
  return iu.errors.new(KINDS[packed.kind] and packed.kind or "PersistenceError", packed.message,
    { code = packed.code, retryable = packed.retryable, cause = cause, details = packed.details })
end

return records
