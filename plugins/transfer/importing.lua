-- importing.lua: an export into a universe.
--
-- The file is read twice: once to its end, so that a cut or changed one is refused before a row is written, and once to write (once more to verify; twice
-- more where rows of the target have values that must be unique). Memory: a slice of rows, the longest line, and the keys of such rows.

local iu = require "inner_universe"

local plugin = ...
local tables = plugin.load "tables"
local rows = plugin.load "rows"
local ends = plugin.load "ends"
local reading = plugin.load "reading"
local comparing = plugin.load "comparing"
local conflicts = plugin.load "conflicts"
local receivers = plugin.load "receiver"
local progresses = plugin.load "progress"

local M = {}

local TURN_EVERY = 16

local function invalid(message, ...)
  return nil, iu.errors.new("ValidationError", message:format(...))
end

local function yes() return true end

local function check_columns(to, header, path)
  for _, t in ipairs(header.tables) do
    if not to.schema.tables[t.name] then return tables.missing(t.name, to.text, path) end
    local cannot = tables.cannot_hold(to, t.name)
    if cannot then return nil, cannot end
    local theirs, ours
    if type(t.definition) == "string" then theirs, ours = t.definition, tables.definition(to.conn, t.name)
    else theirs, ours = t.columns, tables.columns(to.schema, t.name) end -- the first exports had only these
    if theirs ~= ours then return tables.differ(t.name, path, theirs, to.text, ours) end
  end
  return true
end

-- Looks up what comes in the target: `on_row(kind, name, key, bytes)` for rows that are "missing" there or "different".
local function look_up(to, names, on_row)
  local finders, keys = {}, {}
  for _, name in ipairs(names) do
    finders[name] = rows.finder(to.conn, to.schema, name)
    keys[name] = tables.key_reader(to.conn, to.schema, name)
  end
  return function(name, slice)
    for _, bytes in ipairs(slice) do
      local key = keys[name](bytes)
      local there = finders[name](key)
      if there ~= bytes then on_row(there and "different" or "missing", name, key, bytes) end
    end
    return true
  end
end

local function note_heads(heads, name, slice)
  local id = name == "event_log" and 0 or name == "row_history" and 2
  if not id then return end
  local format = id == 0 and "<s4i8" or "<s4s4s4i8"
  for _, bytes in ipairs(slice) do
    local found = table.pack(format:unpack(bytes))
    heads[id] = math.max(heads[id] or 0, found[found.n - 1])
  end
end

-- What stands against a merge: rows of the same key that are others in the target, and rows there that have values which must be unique.
local function against_merge(env, to, names, lists)
  local finders = {}
  for _, name in ipairs(names) do
    finders[name], lists[name] = conflicts.finder(to, name, { same_key = true }), conflicts.list()
  end
  return function(name, slice)
    for _, bytes in ipairs(slice) do
      local found = finders[name](bytes)
      if found then conflicts.add(lists[name], found[1], env.ctx.config.named_keys) end
    end
  end
end

-- With overwrite: rows of the target that have values which must be unique and which the file gives to other rows. Those that the file has, too, are others by
-- then; it cannot be asked for a key, so all of them are noted here, by key, until it has been read again.
local function in_the_way_of(to, names, noted)
  local finders = {}
  for _, name in ipairs(names) do
    if tables.has_unique(to.schema, name) then finders[name] = conflicts.finder(to, name, {}) end
  end
  return function(name, slice)
    if not finders[name] then return end
    for _, bytes in ipairs(slice) do
      local found, others = finders[name](bytes)
      for i = 1, found and #found or 0 do
        noted[name] = noted[name] or {}
        noted[name][tables.removal_key(to.conn, to.schema, name, others[i])] = found[i]
      end
    end
  end
end

-- Of the rows that were noted those that the file does not have: lists for the report, and the keys to remove.
local function not_in_file(env, path, to, noted)
  local lists, keys = {}, {}
  local ok, err = reading.pass(path, env, to.conn, function(name, slice)
    for _, bytes in ipairs(noted[name] and slice or {}) do noted[name][tables.removal_key(to.conn, to.schema, name, bytes)] = false end
    return true
  end, yes)
  if not ok then return nil, err end
  for name, found in pairs(noted) do
    local sorted = {}
    for key, conflict in pairs(found) do
      if conflict then sorted[#sorted + 1] = key end
    end
    table.sort(sorted)
    lists[name], keys[name] = conflicts.list(), sorted
    for _, key in ipairs(sorted) do conflicts.add(lists[name], found[key], env.ctx.config.named_keys) end
  end
  return lists, keys
end

-- The whole file is read: what it holds, where the counters have to be, and what stands against it. With it comes what was found: lists of conflicts by table,
-- and with overwrite the keys of the rows that have to go first.
---@return { counts: table, names: string[], heads: table, lists: table, in_the_way: table<string, string[]> }?, inner_universe.Error?
local function first_pass(env, path, to, header, options)
  local heads, names = header.heads, {}
  for i, t in ipairs(header.tables) do names[i] = t.name end
  local lists, noted, in_the_way = {}, {}, {}
  local look, check_events
  if options.mode ~= "new" then
    local ok, err = to.hold(env.looked_at(to, names, options))
    if not ok then return nil, err end
    check_events = env.has(names, "event_log") and comparing.event_check(to)
    if options.mode == "overwrite" then look = in_the_way_of(to, names, noted)
    elseif env.looks_ahead(options) then look = against_merge(env, to, names, lists) end
  end
  local counts, err = reading.pass(path, env, to.conn, function(name, slice)
    note_heads(heads, name, slice)
    if check_events and name == "event_log" then
      local ok, err = check_events(slice)
      if not ok then return nil, err end
    end
    if look then look(name, slice) end
    return true
  end, yes)
  if not counts then return nil, err end
  for _, t in ipairs(header.tables) do
    local have = counts[t.name].rows
    if t.rows ~= have then return invalid("line 1: table `%s` has %d rows, the header says %s", t.name, have, tostring(t.rows)) end
  end
  if next(noted) then
    lists, in_the_way = not_in_file(env, path, to, noted)
    if not lists then return nil, in_the_way end
  end
  local refusal = options.conflicts == "refuse" and conflicts.refusal(lists, names, options.mode)
  if refusal then return nil, refusal end
  return { counts = counts, names = names, heads = heads, lists = lists, in_the_way = in_the_way }
end

-- What is in the way of the rows to come goes: rows with values that the file gives to others, and in a table that has any such, the file's own ones among
-- them, what is another row there: two that have swapped a value cannot be put one after the other.
local function clear(env, path, to, first, receiver)
  if not next(first.in_the_way) then return true end
  for name, keys in pairs(first.in_the_way) do
    receiver.tell_all("replaced", name, first.lists[name])
    receiver.forget(name) -- what goes now has to come again
    local ok, err = receiver.save()
    if ok then ok, err = receiver.remove(name, keys) end
    if not ok then return nil, err end
  end
  local keys = {}
  local look = look_up(to, first.names, function(kind, name, _, bytes)
    if kind == "different" then keys[#keys + 1] = tables.removal_key(to.conn, to.schema, name, bytes) end
  end)
  local ok, err = reading.pass(path, env, to.conn, function(name, slice)
    if not first.in_the_way[name] then return true end
    look(name, slice)
    local gone = keys
    keys = {}
    return receiver.remove(name, gone)
  end, yes)
  return ok and true, err
end

-- Whether all rows of the file are in the target, and, where it was empty, no others. What was left out for a conflict must be in one.
local function verify(env, path, to, names, counts, options)
  local ok, err = to.hold(env.with_heads(names))
  if not ok then return nil, err end
  local named, kept = env.ctx.config.named_keys, options.conflicts == "keep"
  local finders, found = {}, {}
  for _, name in ipairs(names) do
    finders[name] = (kept or tables.has_unique(to.schema, name)) and conflicts.finder(to, name, { same_key = kept })
  end
  ok, err = reading.pass(path, env, to.conn, look_up(to, names, function(kind, name, key, bytes)
    local differences = found[name] or comparing.none()
    found[name], differences.conflicts = differences, differences.conflicts or conflicts.list()
    local others = finders[name] and finders[name](bytes)
    if others then conflicts.add(differences.conflicts, others[1], named) end
    if others and kept then return end
    differences[kind] = differences[kind] + 1
    if #differences.keys[kind] < named then table.insert(differences.keys[kind], tables.key_text(key)) end
  end), yes)
  if not ok then return nil, err end
  local verified = { equal = true, tables = {} }
  for _, name in ipairs(names) do
    local entry = { rows = counts[name].rows, hash = counts[name].hash, differences = found[name] }
    entry.other_rows, entry.other_hash = comparing.digest(assert(rows.slices(to.conn, name, rows.filter(name, to.conn))))
    if options.mode == "new" then entry.equal = entry.other_hash == entry.hash and entry.other_rows == entry.rows
    else entry.equal = not entry.differences or kept and entry.differences.missing == 0 and entry.differences.different == 0 end
    if not entry.equal and not entry.differences then
      entry.differences = comparing.none()
      entry.differences.extra = entry.other_rows - entry.rows
    end
    if kept and not comparing.as_told(entry, counts[name]) then entry.equal = false end
    verified.equal = verified.equal and entry.equal
    verified.tables[name] = entry
  end
  if verified.equal then return verified end
  return nil, iu.errors.new("StorageError", ("%s and %s differ after the import: %s"):format(path, to.text, comparing.words(verified, names)),
    { details = verified })
end

---@param env table
---@param path string
---@param to table end
---@param options table checked
function M.import(env, path, to, options)
  local header, err = reading.header(path, env)
  if not header then return nil, err end
  local ok
  ok, err = ends.check_target(to)
  if ok then ok, err = check_columns(to, header, path) end
  if not ok then return nil, err end
  local first
  first, err = first_pass(env, path, to, header, options)
  if not first then return nil, err end
  local counts, names = first.counts, first.names
  local what, total = iu.array {}, 0
  for i, name in ipairs(names) do
    what[i] = { name, counts[name].rows, counts[name].hash }
    total = total + counts[name].rows
  end
  local report = { tables = counts, rows = total, from = path, to = to.text, resumed = false }
  local receiver = receivers.new(env, to, names, {
    mode = options.mode, conflicts = options.conflicts, restart = options.restart, what = { import = what, mode = options.mode } })
  ok, err = receiver.begin(options.dry_run)
  if not ok then return nil, err end
  if options.dry_run then
    report.dry_run = true
    local told = {}
    for name, list in pairs(first.lists) do told[name] = { [options.mode == "merge" and "skipped" or "replaced"] = list } end
    conflicts.report(report, told)
    return report
  end
  ok, err = receiver.prepare(first.heads)
  if ok then ok, err = clear(env, path, to, first, receiver) end
  if not ok then return nil, err end
  local progress = progresses.new(env.ctx.clock, options.progress, total)
  local turns = 0
  ok, err = reading.pass(path, env, to.conn, function(name, slice, bytes, count, hash)
    local known = receiver.known(name)
    if known and count <= known.rows then -- the file is what it was: the checkpoint names its hashes
      progress.add(name, #slice, true)
      return true
    end
    local good, why = receiver.put(name, slice, bytes)
    if good then good, why = receiver.note(name, count, hash) end
    progress.add(name, #slice)
    turns = turns + 1
    if turns % TURN_EVERY == 0 then iu.sleep(0) end
    return good, why
  end, receiver.finish_table)
  if not ok then return nil, err end
  conflicts.report(report, receiver.told())
  ok, err = receiver.finish()
  if not ok then return nil, err end
  report.resumed, report.written, report.seconds = receiver.resumed, receiver.rows, progress.seconds()
  if options.verify then report.verified, err = verify(env, path, to, names, counts, options) end
  if err then return nil, err end
  return report
end

return M
