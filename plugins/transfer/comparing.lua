-- comparing.lua: whether two universes hold the same rows: per table their number and hash, and where these differ the keys, looked up both ways.

local iu = require "inner_universe"

local plugin = ...
local tables = plugin.load "tables"
local rows = plugin.load "rows"
local conflicts = plugin.load "conflicts"

local M = {}

-- Slice after slice, and now and then a turn for others.
local TURN_EVERY = 16
local function each_slice(slices, fn)
  local count = 0
  for slice in slices do
    local ok, err = fn(slice)
    if ok == nil then return nil, err end
    count = count + 1
    if count % TURN_EVERY == 0 then iu.sleep(0) end
  end
  return true
end
M.each_slice = each_slice

---A function that is given slices of event_log and answers nil and a ConflictError at the first event whose sequence is another event's in the target: the logs
---of two universes cannot be one. What gives way there (connections at the end of its log) is none.
function M.event_check(to)
  local last_event, log = rows.last_event(to.conn), to.conn.tables.event_log
  return function(slice)
    for _, bytes in ipairs(slice) do
      local id, sequence = ("<s4i8"):unpack(bytes)
      local there = sequence <= last_event and log:find("sequence", sequence)
      if there and there.event_id ~= id then
        local words = "event_log: sequence %d is event %s here and %s there: two logs cannot be one; leave the table out (except)"
        return nil, iu.errors.new("ConflictError", words:format(sequence, there.event_id, id), { details = { table = "event_log", sequence = sequence } })
      end
    end
    return true
  end
end

---How many rows, and their hash.
local function digest(slices, on_rows)
  local count, hash = 0, ""
  each_slice(slices, function(slice)
    count, hash = count + #slice, rows.chain(hash, slice)
    if on_rows then on_rows(#slice) end
    return true
  end)
  return count, hash
end
M.digest = digest

---Calls `fn(kind, key)` for each row that differs: "missing" in b, "extra" in b, or "different". Reads the views as they are meanwhile, but for a's rows where
---these are given.
---@param a table end
---@param b table end
---@param filters { a: function?, b: function?, slices: function? } slices: of a
function M.differences(a, b, name, filters, fn)
  local in_b, in_a = rows.finder(b.conn, b.schema, name), rows.finder(a.conn, a.schema, name)
  local key_of = tables.key_reader(a.conn, a.schema, name)
  local slices, err = filters.slices, nil
  if not slices then slices, err = rows.slices(a.conn, name, filters.a) end
  if not slices then return nil, err end
  each_slice(slices, function(slice)
    for _, bytes in ipairs(slice) do
      local key = key_of(bytes)
      local other = in_b(key)
      if not other then fn("missing", key, bytes) elseif other ~= bytes then fn("different", key, bytes) end
    end
    return true
  end)
  slices, err = rows.slices(b.conn, name, filters.b)
  if not slices then return nil, err end
  local key_of_b = tables.key_reader(b.conn, b.schema, name)
  each_slice(slices, function(slice)
    for _, bytes in ipairs(slice) do
      local key = key_of_b(bytes)
      if not in_a(key) then fn("extra", key, bytes) end
    end
    return true
  end)
  return true
end

---Differences of a table, none yet.
function M.none()
  return { missing = 0, extra = 0, different = 0, keys = { missing = iu.array {}, extra = iu.array {}, different = iu.array {} } }
end

-- The differences of one table: how many of each kind, and the first keys; of those that have another row in their way in b, which (`conflicts`). kept: these
-- are no differences, and a row of the same key is in the way, too.
local function list(a, b, name, filters, named, kept)
  local found, in_the_way = M.none(), nil
  if kept or tables.has_unique(b.schema, name) then
    in_the_way, found.conflicts = conflicts.finder(b, name, { same_key = kept }), conflicts.list()
  end
  local ok, err = M.differences(a, b, name, filters, function(kind, key, bytes)
    local others = kind ~= "extra" and in_the_way and in_the_way(bytes)
    if others then conflicts.add(found.conflicts, others[1], named) end
    if others and kept then return end
    found[kind] = found[kind] + 1
    local keys = found.keys[kind]
    if #keys < named then keys[#keys + 1] = tables.key_text(key) end
  end)
  if not ok then return nil, err end
  return found
end

---Compares tables of two ends whose rows are held. The rows of both are those of the moment of this call.
---@param options { named_keys: integer, on_rows: fun(name: string, rows: integer)? }
---@return { equal: boolean, tables: table<string, table> }?, inner_universe.Error?
function M.run(a, b, names, options)
  local sides = {}
  for i, name in ipairs(names) do
    local filters = { a = rows.filter(name, a.conn), b = rows.filter(name, b.conn) }
    local left, err = rows.slices(a.conn, name, filters.a)
    if not left then return nil, err end
    local right
    right, err = rows.slices(b.conn, name, filters.b)
    if not right then return nil, err end
    sides[i] = { name = name, left = left, right = right, filters = filters }
  end
  local report = { equal = true, tables = {} }
  for _, side in ipairs(sides) do
    local on_rows = options.on_rows and function(n) options.on_rows(side.name, n) end
    local entry = {}
    entry.rows, entry.hash = digest(side.left, on_rows)
    entry.other_rows, entry.other_hash = digest(side.right)
    entry.equal = entry.rows == entry.other_rows and entry.hash == entry.other_hash
    if not entry.equal then
      report.equal = false
      local found, err = list(a, b, side.name, side.filters, options.named_keys)
      if not found then return nil, err end
      entry.differences = found
    end
    report.tables[side.name] = entry
  end
  return report
end

---Whether `b` holds what was copied to it from `a`: the rows and hashes of the copy's report, and where other rows may be there besides (`others`) at least
---those, as `proof` has them (slices by table; `a` may have changed since). kept: but for rows that have others in their way, as many as the report says
---(`since`: at least).
---@param copied table<string, { rows: integer, hash: string, skipped: table? }>
function M.arrived(a, b, names, copied, options)
  local report = { equal = true, tables = {} }
  for _, name in ipairs(names) do
    local entry = { rows = copied[name].rows, hash = copied[name].hash }
    local filters = { b = rows.filter(name, b.conn), slices = options.proof[name] }
    local slices, err = rows.slices(b.conn, name, filters.b)
    if not slices then return nil, err end
    entry.other_rows, entry.other_hash = digest(slices)
    entry.equal = entry.rows == entry.other_rows and entry.hash == entry.other_hash
    if not entry.equal then
      local found
      found, err = list(a, b, name, filters, options.named_keys, options.kept)
      if not found then return nil, err end
      entry.differences = found
      entry.equal = options.others and found.missing == 0 and found.different == 0
      if options.kept and not M.as_told(entry, copied[name], options.since) then entry.equal = false end
    end
    report.equal = report.equal and entry.equal
    report.tables[name] = entry
  end
  return report
end

---Are as many rows left out as were told (`since`: at least)?
---@param entry table with differences.conflicts
---@param copied { skipped: table? }
function M.as_told(entry, copied, since)
  local told = copied.skipped and copied.skipped.count or 0
  entry.skipped = entry.differences and entry.differences.conflicts and entry.differences.conflicts.count or 0
  if entry.skipped == told or since and entry.skipped > told then return true end
  entry.told = told
  return false
end

---What a report of M.run says of its differences, in one line.
function M.words(report, names)
  local parts = {}
  for _, name in ipairs(names) do
    local entry = report.tables[name]
    if entry and not entry.equal then
      local found = entry.differences
      local words = {}
      for _, kind in ipairs { "missing", "extra", "different" } do
        if found[kind] > 0 then
          local keys = table.concat(found.keys[kind], ", ")
          words[#words + 1] = ("%d %s (%s%s)"):format(found[kind], kind, keys, found[kind] > #found.keys[kind] and ", ..." or "")
        end
      end
      local others = found.conflicts
      if others and others.count > 0 then words[#words + 1] = ("%d in conflict (%s)"):format(others.count, conflicts.words(others)) end
      if entry.told then words[#words + 1] = ("%d told as skipped"):format(entry.told) end
      parts[#parts + 1] = ("%s: %s"):format(name, #words > 0 and table.concat(words, ", ") or "the rows changed meanwhile")
    end
  end
  return table.concat(parts, "; ")
end

return M
