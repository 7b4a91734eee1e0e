-- receiver.lua: the side that rows come to: what may be written there, the slices, the checkpoints. Copies and imports share it.
--
-- Order: `begin` (refuses a target that is not empty, or goes on from a checkpoint), `prepare` once, `put` slice after slice, `finish_table`, `finish`.
-- A slice is one call, and putting it again changes nothing; a checkpoint comes after the slices it speaks of. So after a crash at any moment the target holds
-- what its checkpoint says, and perhaps some rows of the slices behind it.

local iu = require "inner_universe"

local plugin = ...
local tables = plugin.load "tables"
local rows = plugin.load "rows"
local conflicts = plugin.load "conflicts"
local checkpoints = plugin.load "checkpoint"

local M = {}

local OWN_EVENTS, OWN_CONFIG = tables.OWN_EVENTS, tables.OWN_CONFIG
local REMOVE_ROWS = 1000 -- keys of one call

local function has(names, name)
  for _, each in ipairs(names) do
    if each == name then return true end
  end
  return false
end

local function not_empty(to, name, what)
  return nil, iu.errors.new("ConflictError", ("%s is not empty: table `%s` has %s; choose mode = \"merge\" (add what is missing) or \"overwrite\"")
    :format(to.text, name, what))
end

local function count_of(conn, name)
  local found, err = conn:query(('SELECT COUNT(*) AS n FROM "%s"'):format(name))
  if not found then return nil, err end
  return found[1].n
end

-- A universe that was just made has its first events and a few rows of configuration.
local function check_empty(to, names)
  local small = {} -- in a universe that may be empty; the others are counted
  for _, name in ipairs { "event_log", "config" } do
    if has(names, name) then small[#small + 1] = name end
  end
  local ok, err
  if #small > 0 then
    ok, err = to.hold(small)
    if not ok then return nil, err end
  end
  for _, name in ipairs(names) do
    if name == "event_log" then
      for row in to.conn.tables.event_log:iter() do
        if not OWN_EVENTS[row.event_type] then return not_empty(to, name, "event " .. row.event_id) end
      end
    elseif name == "config" then
      for row in to.conn.tables.config:iter() do
        if not OWN_CONFIG[row.key] then return not_empty(to, name, "key " .. row.key) end
      end
    else
      local count
      count, err = count_of(to.conn, name)
      if not count then return nil, err end
      if count > 0 then return not_empty(to, name, count == 1 and "1 row" or count .. " rows") end
    end
  end
  return true
end

---@param env table { ctx }
---@param to table end
---@param names string[] the tables that come
---@param options { mode: string, conflicts: string, what: table, restart: boolean? }
function M.new(env, to, names, options)
  local conn = to.conn
  local self = { rows = 0, bytes = 0 }
  local checkpoint
  local unsaved = 0
  local keep = options.conflicts == "keep"
  local finders = {}

  ---Whether the target may take the rows, and from where on. `dry`: nothing is written.
  ---@return true?, inner_universe.Error?
  function self.begin(dry)
    local found, err = checkpoints.read(conn)
    if err then return nil, err end
    if found and not options.restart and not checkpoints.same(found, options.what) then
      return nil, iu.errors.new("ConflictError",
        ("%s holds an unfinished copy or import (%s); run that again to end it, or begin anew with restart = true and mode = \"overwrite\"")
          :format(to.text, assert(iu.json.canonical(found.what))), { details = found.what })
    end
    self.resumed = found ~= nil and not options.restart
    if not self.resumed and options.mode == "new" then
      local ok
      ok, err = check_empty(to, names)
      if not ok then return nil, err end
    end
    if self.resumed then checkpoint = found
    else
      checkpoint = checkpoints.new(options.what)
      checkpoint.revision = found and found.revision or 0
    end
    if dry then return true end
    return checkpoints.write(conn, checkpoint)
  end

  ---What the checkpoint knows of a table: { rows, hash, whole }, or nil.
  function self.known(name)
    if not checkpoint then return nil end
    local done, at = checkpoint.done[name], checkpoint.at
    if done then return { rows = done.rows, hash = done.hash, whole = true } end
    if at and at.table == name then return { rows = at.rows, hash = at.hash, whole = false } end
  end

  -- Events that the target has written about itself, where those to come have their sequences.
  local function events_in_the_way(last_event)
    local ok, err = to.hold { "event_head", "event_log" }
    if not ok then return nil, err end
    local keys = {}
    local first = checkpoint.prepared or options.mode == "new" and 0 or rows.last_event(conn)
    for row in conn.tables.event_log:range("sequence") do
      if row.sequence > first and row.sequence <= last_event and OWN_EVENTS[row.event_type] then keys[#keys + 1] = row.event_id end
    end
    return keys
  end

  ---Removes rows by their keys.
  function self.remove(name, keys)
    for at = 1, #keys, REMOVE_ROWS do
      local ok, err = conn:call("remove_rows", name, table.move(keys, at, math.min(at + REMOVE_ROWS - 1, #keys), 1, iu.array {}))
      if not ok then return nil, err end
    end
    return true
  end

  ---Before the first slice, and again when the source has more events by now: the target's counters go on behind the source's, its own events give way: the
  ---first ones, and those of connections that it wrote since. heads: sequences by row of event_head.
  function self.prepare(heads)
    local last_event = has(names, "event_log") and heads[0] or 0
    if checkpoint.prepared and checkpoint.prepared >= last_event then return true end
    local list, ids = iu.array {}, {}
    for _, name in ipairs(names) do
      local id = tables.HEADS[name]
      if id and heads[id] and not ids[id] then
        ids[id] = true
        list[#list + 1] = ("<I4i8i8i8"):pack(id, heads[id], 0, 0)
      end
    end
    local ok, err = to.hold { "event_head" }
    if ok and #list > 0 then ok, err = conn:call("import_rows", "event_head", list) end
    if ok and has(names, "event_log") then
      local keys
      keys, err = events_in_the_way(last_event)
      ok = keys and true
      if keys and #keys > 0 then ok, err = self.remove("event_log", keys) end
    end
    if not ok then return nil, err end
    checkpoint.prepared = last_event
    return checkpoints.write(conn, checkpoint)
  end

  -- What is in the way of rows in the target; nil, err.
  local function in_the_way(name)
    if not finders[name] then
      local ok, err = to.hold { name }
      if not ok then return nil, err end
      finders[name] = conflicts.finder(to, name, { same_key = keep })
    end
    return finders[name]
  end

  ---Notes a conflict: a row that comes was left out ("skipped"), or one that was there is ("replaced").
  function self.tell(kind, name, conflict)
    local told = checkpoint.conflicts[name] or iu.object {}
    checkpoint.conflicts[name], told[kind] = told, told[kind] or conflicts.list()
    conflicts.add(told[kind], conflict, env.ctx.config.named_keys)
  end

  ---The same of a whole list.
  function self.tell_all(kind, name, list)
    if list.count == 0 then return end
    local told = checkpoint.conflicts[name] or iu.object {}
    checkpoint.conflicts[name] = told
    told[kind] = told[kind] and conflicts.joined(told[kind], list, env.ctx.config.named_keys) or list
  end

  ---All that was noted, by table, also before the copy went on.
  function self.told() return checkpoint.conflicts end

  local function send(name, slice, bytes)
    local ok, err = conn:call("import_rows", name, slice)
    if not ok then
      return nil, iu.errors.new(err.kind, ("table `%s`: %s"):format(name, err.message),
        { cause = err.cause, details = err.details, code = err.code, retryable = err.retryable })
    end
    self.rows, self.bytes = self.rows + #slice, self.bytes + bytes
    return true
  end

  -- Of a slice those rows that have nothing in their way, and their bytes; the others are told.
  local function fitting(name, slice)
    local finder, err = in_the_way(name)
    if not finder then return nil, err end
    local fit, bytes = iu.array {}, 0
    for _, row in ipairs(slice) do
      local found = finder(row)
      if found then self.tell("skipped", name, found[1])
      else fit[#fit + 1], bytes = row, bytes + #row end
    end
    return fit, bytes
  end

  -- Row after row, when a slice was refused: so the one that is in conflict is found, also with another one of the same slice (the source may allow what the
  -- target does not).
  local function put_singly(name, slice)
    local finder, err = in_the_way(name)
    if not finder then return nil, err end
    for _, row in ipairs(slice) do
      local found, ok = finder(row), true
      if not found then ok, err = send(name, { row }, #row)
      elseif keep then self.tell("skipped", name, found[1])
      else
        ok, err = nil, iu.errors.new("ConflictError", ("table `%s`: in conflict: %s%s"):format(name, conflicts.words_of(found[1]),
          conflicts.WAY_OUT[options.mode]), { details = found[1] })
      end
      if not ok then return nil, err end
    end
    return true
  end

  ---@param slice string[]
  function self.put(name, slice, bytes)
    local fit = slice
    if keep then
      fit, bytes = fitting(name, slice)
      if not fit then return nil, bytes end
    end
    local ok, err = true, nil
    if #fit > 0 then ok, err = send(name, fit, bytes) end
    if not ok and err.kind == "ConflictError" and tables.has_unique(to.schema, name) then ok, err = put_singly(name, fit) end
    if not ok then return nil, err end
    unsaved = unsaved + #slice
    return true
  end

  ---After a slice: so many rows of the table are there now, with this hash.
  function self.note(name, count, hash)
    if unsaved < env.ctx.config.checkpoint_rows then return true end
    unsaved = 0
    checkpoint.at = { table = name, rows = count, hash = hash }
    return checkpoints.write(conn, checkpoint)
  end

  ---A table that has to be written anew, whatever the checkpoint says.
  function self.forget(name)
    checkpoint.done[name] = nil
    if checkpoint.at and checkpoint.at.table == name then checkpoint.at = nil end
    checkpoint.anew[name] = true
    if checkpoint.conflicts[name] then checkpoint.conflicts[name].skipped = nil end
  end

  ---Is it being written anew, so that what the source does not have has to go at the end?
  function self.is_anew(name) return checkpoint.anew[name] == true end

  function self.finish_table(name, count, hash)
    if checkpoint.done[name] and checkpoint.done[name].hash == hash and checkpoint.done[name].rows == count then return true end
    unsaved, checkpoint.at, checkpoint.anew[name] = 0, nil, nil
    checkpoint.done[name] = { rows = count, hash = hash }
    return checkpoints.write(conn, checkpoint)
  end

  ---The checkpoint as it is now.
  function self.save() return checkpoints.write(conn, checkpoint) end

  ---Everything is there and on disk.
  function self.finish()
    local ok, err = checkpoints.remove(conn, checkpoint)
    if not ok then return nil, err end
    return conn:flush()
  end

  return self
end

return M
