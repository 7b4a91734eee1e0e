-- rows.lua: a table's rows as a copy sees them: slices in the order of the primary key, without the rows that belong to one universe; and their hash.
--
-- A slice ends with SLICE_ROWS rows or once it has SLICE_BYTES, so the same rows give the same slices on every backend. A table's hash is a chain:
-- SHA-256 of the hash before (64 hex digits, "" at the start) and the slice's rows (BSATN) behind each other. Equal hashes: equal rows. These two numbers and
-- the chain are part of the format of exports.

local iu = require "inner_universe"

local plugin = ...
local tables = plugin.load "tables"

local M = {}

M.SLICE_ROWS, M.SLICE_BYTES = 1000, 262144

local concat, sha256, unpack = table.concat, iu.sha256, string.unpack

---@param hash string
---@param rows string[]
function M.chain(hash, rows)
  return sha256(hash .. concat(rows))
end

-- Connections that come and go are logged by every universe, also by the one that is being copied: the log ends before those at its end. The sequence of the
-- last event that counts.
local CONNECTIONS = { CLIENT_CONNECTED = true, CLIENT_DISCONNECTED = true }

---The tables event_log and event_head are held.
---@return integer sequence of the last event, 0 without any
function M.last_event(conn)
  local head = conn.tables.event_head:get(0)
  local last = head and head.sequence or 0
  for row in conn.tables.event_log:range("sequence", nil, nil, true) do
    if not CONNECTIONS[row.event_type] then return row.sequence end
    last = math.min(last, row.sequence - 1)
  end
  return last
end

---Which rows of a table are copied: nil for all, or a function of a row's bytes. Of event_log those up to the last event that counts now.
function M.filter(name, conn)
  local own = tables.rule(name).own
  if name ~= "event_log" then return own and function(bytes) return not own(bytes) end end
  local last_event = M.last_event(conn)
  return function(bytes)
    local _, sequence = unpack("<s4i8", bytes)
    return sequence <= last_event
  end
end

-- A function that gives row after row, and closes nothing: the pages go when they are collected.
local function each_row(conn, name, keep)
  local pages, err = conn.tables[name]:pages { rows = M.SLICE_ROWS, bytes = M.SLICE_BYTES }
  if not pages then return nil, err end
  local page, at = {}, 0
  return function()
    while true do
      at = at + 1
      local row = page[at]
      if not row then
        page, at = pages(), 0
        if not page then
          page = {}
          return nil
        end
      elseif not keep or keep(row) then
        return row
      end
    end
  end
end

---A function that gives the next slice and its bytes, nil at the end. The rows are those of the moment of this call.
---@param keep? fun(bytes: string): boolean
---@return (fun(): string[]?, integer?)?, inner_universe.Error?
function M.slices(conn, name, keep)
  local next_row, err = each_row(conn, name, keep)
  if not next_row then return nil, err end
  return function()
    local slice, n, bytes = {}, 0, 0
    while n < M.SLICE_ROWS and bytes < M.SLICE_BYTES do
      local row = next_row()
      if not row then break end
      n = n + 1
      slice[n] = row
      bytes = bytes + #row
    end
    if n > 0 then return slice, bytes end
  end
end

---A function that gives a row that a connection holds, by key, as bytes, or nil; a table without a key has only whole rows, so all of them are remembered by
---what they are.
function M.finder(conn, schema, name)
  if schema.tables[name].primary_key then
    local t = conn.tables[name]
    return function(key)
      local row = t:get(key)
      return row and assert(conn:row_bytes(name, row))
    end
  end
  local all = {}
  for page in assert(conn.tables[name]:pages()) do
    for _, bytes in ipairs(page) do all[bytes] = bytes end
  end
  return function(key) return all[key] end
end

return M
