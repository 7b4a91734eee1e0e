-- importing.lua: an export into a universe.
--
-- The file is read twice: once to its end, so that a cut or changed one is refused before a row is written, and once to write (a third time to verify).
-- Memory: a slice of rows and the longest line.

local iu = require "inner_universe"

local plugin = ...
local tables = plugin.load "tables"
local rows = plugin.load "rows"
local ends = plugin.load "ends"
local reading = plugin.load "reading"
local comparing = plugin.load "comparing"
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
    local theirs, ours
    if type(t.definition) == "string" then theirs, ours = t.definition, tables.definition(to.conn, t.name)
    else theirs, ours = t.columns, tables.columns(to.schema, t.name) end -- the first exports had only these
    if theirs ~= ours then return tables.differ(t.name, path, theirs, to.text, ours) end
  end
  return true
end

-- Looks up what comes in the target: `on_row(kind, name, key)` for rows that are "missing" there or "different".
local function look_up(to, names, on_row)
  local finders, keys = {}, {}
  for _, name in ipairs(names) do
    finders[name] = comparing.finder(to.conn, to.schema, name)
    keys[name] = tables.key_reader(to.conn, to.schema, name)
  end
  return function(name, slice)
    for _, bytes in ipairs(slice) do
      local key = keys[name](bytes)
      local there = finders[name](key)
      if there ~= bytes then on_row(there and "different" or "missing", name, key) end
    end
    return true
  end
end

local function found_list(named)
  local found = { tables = {} }
  return found, function(kind, name, key)
    local entry = found.tables[name]
    if not entry then
      entry = { differences = { missing = 0, extra = 0, different = 0, keys = { missing = {}, extra = {}, different = {} } } }
      found.tables[name] = entry
    end
    local differences = entry.differences
    differences[kind] = differences[kind] + 1
    if #differences.keys[kind] < named then table.insert(differences.keys[kind], tables.key_text(key)) end
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

-- The whole file is read: what it holds, where the counters have to be, and for a merge what stands against it.
local function first_pass(env, path, to, header, options)
  local heads, names = header.heads, {}
  for i, t in ipairs(header.tables) do names[i] = t.name end
  local found, note = found_list(env.ctx.config.named_keys)
  local conflicts = false
  local look, check_events
  if options.mode ~= "new" then
    local ok, err = to.hold(options.mode == "merge" and env.with_heads(names) or env.log_of(names))
    if not ok then return nil, err end
    check_events = env.has(names, "event_log") and comparing.event_check(to)
  end
  if options.mode == "merge" then
    look = look_up(to, names, function(kind, name, key)
      if kind ~= "different" then return end
      conflicts = true
      note(kind, name, key)
    end)
  end
  local counts, err = reading.pass(path, env, to.conn, function(name, slice)
    note_heads(heads, name, slice)
    if check_events and name == "event_log" then
      local ok, err = check_events(slice)
      if not ok then return nil, err end
    end
    return not look or look(name, slice)
  end, yes)
  if not counts then return nil, err end
  for _, t in ipairs(header.tables) do
    local have = counts[t.name].rows
    if t.rows ~= have then return invalid("line 1: table `%s` has %d rows, the header says %s", t.name, have, tostring(t.rows)) end
  end
  if not conflicts then return counts, names, heads end
  return nil, iu.errors.new("ConflictError", ("rows of the same key that differ: %s; mode = \"overwrite\" takes the file's"):format(
    comparing.words(found, names)), { details = found.tables })
end

-- Whether all rows of the file are in the target, and, where it was empty, no others.
local function verify(env, path, to, names, counts, options)
  local ok, err = to.hold(env.with_heads(names))
  if not ok then return nil, err end
  local found, note = found_list(env.ctx.config.named_keys)
  ok, err = reading.pass(path, env, to.conn, look_up(to, names, note), yes)
  if not ok then return nil, err end
  local verified = { equal = next(found.tables) == nil, tables = {} }
  for _, name in ipairs(names) do
    local entry = found.tables[name] or {}
    entry.rows, entry.hash = counts[name].rows, counts[name].hash
    entry.other_rows, entry.other_hash = comparing.digest(assert(rows.slices(to.conn, name, rows.filter(name, to.conn))))
    entry.equal = not entry.differences and (options.mode ~= "new" or entry.other_hash == entry.hash and entry.other_rows == entry.rows)
    if not entry.equal and not entry.differences then
      entry.differences = { missing = 0, extra = entry.other_rows - entry.rows, different = 0, keys = { missing = {}, extra = {}, different = {} } }
    end
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
  local counts, names, heads = first_pass(env, path, to, header, options)
  if not counts then return nil, names end
  local what, total = iu.array {}, 0
  for i, name in ipairs(names) do
    what[i] = { name, counts[name].rows, counts[name].hash }
    total = total + counts[name].rows
  end
  local report = { tables = counts, rows = total, from = path, to = to.text, resumed = false }
  local receiver = receivers.new(env, to, names, { mode = options.mode, restart = options.restart, what = { import = what, mode = options.mode } })
  ok, err = receiver.begin(options.dry_run)
  if not ok then return nil, err end
  if options.dry_run then
    report.dry_run = true
    return report
  end
  ok, err = receiver.prepare(heads)
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
  ok, err = receiver.finish()
  if not ok then return nil, err end
  report.resumed, report.written, report.seconds = receiver.resumed, receiver.rows, progress.seconds()
  if options.verify then report.verified, err = verify(env, path, to, names, counts, options) end
  if err then return nil, err end
  return report
end

return M
