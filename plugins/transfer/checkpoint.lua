-- checkpoint.lua: how far a copy or an import is, in the target's plugin_record, so that one that was killed goes on.
--
-- One record, put with the revision that is expected: a second copy into the same target loses, and is told so. It holds `what` is being done (a table that the
-- same call gives again), when it began, the tables that are done and the one under way, each with the rows that arrived and their hash, those that are
-- written anew, and what was in conflict.

local iu = require "inner_universe"

local plugin = ...
local tables = plugin.load "tables"

local KEY = tables.RECORD_PREFIX .. "target"

local M = {}

M.KEY = KEY

---@return table? checkpoint nil without an err: there is none
---@return inner_universe.Error? err
function M.read(conn)
  local row, err = conn:get("plugin_record", KEY)
  if err then return nil, err end
  if not row then return nil end
  local value
  value, err = iu.json.decode(row.value)
  if type(value) ~= "table" or type(value.what) ~= "table" or type(value.done) ~= "table" or type(value.anew) ~= "table" then
    return nil, iu.errors.wrap("StorageError", ("plugin_record %s: its value is damaged"):format(KEY), err)
  end
  value.conflicts = value.conflicts or iu.object {}
  value.revision = row.revision
  return value
end

---What a universe that is read is the unfinished target of: it is not whole. nil: of nothing.
function M.unfinished(from)
  local found = from.schema.tables.plugin_record and M.read(from.conn)
  return found and found.what or nil
end

local function refused(err)
  if err.kind ~= "ConflictError" then return nil, err end
  return nil, iu.errors.wrap("ConflictError", "another copy or import writes into this target", err)
end

---@param what table plain JSON
function M.new(what)
  return { what = what, started = iu.now(), done = iu.object {}, anew = iu.object {}, conflicts = iu.object {}, revision = 0 }
end

function M.same(checkpoint, what)
  return iu.json.canonical(checkpoint.what) == iu.json.canonical(what)
end

---Writes it, where it is still as it was read. true, or nil, err.
function M.write(conn, checkpoint)
  local value = {
    what = checkpoint.what, started = checkpoint.started, done = checkpoint.done, at = checkpoint.at, anew = checkpoint.anew, prepared = checkpoint.prepared,
    conflicts = checkpoint.conflicts,
  }
  local ok, err = conn:call("put_record", KEY, assert(iu.json.encode(value)), checkpoint.revision, iu.null)
  if not ok then return refused(err) end
  checkpoint.revision = checkpoint.revision + 1
  return true
end

function M.remove(conn, checkpoint)
  local ok, err = conn:call("delete_record", KEY, checkpoint.revision)
  if not ok then return refused(err) end
  return true
end

return M
