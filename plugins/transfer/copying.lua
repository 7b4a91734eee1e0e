-- copying.lua: rows from one end to the other.
--
-- What the source holds at one moment is what is copied: an iterator of each table is opened before anything is waited for, and all of them go on seeing that
-- moment, whatever is written meanwhile. A copy that goes on reads again what had arrived and compares its hash with the checkpoint's: rows that changed
-- since make it write the table anew (and remove what is gone, where the target held nothing), so that a copy that was killed ends as one that was not.

local iu = require "inner_universe"

local plugin = ...
local tables = plugin.load "tables"
local rows = plugin.load "rows"
local ends = plugin.load "ends"
local comparing = plugin.load "comparing"
local conflicts = plugin.load "conflicts"
local receivers = plugin.load "receiver"
local checkpoints = plugin.load "checkpoint"
local progresses = plugin.load "progress"

local M = {}

local TURN_EVERY = 16 -- slices between two turns of the loop
local REMOVE_AT_ONCE = 1000 -- keys

-- Rows that are not older than `since`, where the table says it.
local function since_filter(conn, name, since, keep)
  local time = since and tables.rule(name).time
  if not time then return keep end
  return function(bytes)
    return (not keep or keep(bytes)) and assert(conn:row_of_bytes(name, bytes))[time] >= since
  end
end

---Adds to a report what there is to say of the source beside its rows.
---@param left_out string[]? tables that only the owner may read
---@param options { since: integer?, tables: string[]?, except: string[]? }
---@return table report
function M.tell_source(report, from, names, left_out, options)
  report.left_out, report.whole, report.unfinished = left_out, tables.whole(names, options.since), checkpoints.unfinished(from)
  report.events = tables.events(from.schema, options)
  return report
end

---All of the source as it is now: `slices` of each table, and `again` a second time; `heads`: where its counters are; `total`: about how many rows. With verify
---`proof`: the same once more, of all rows whatever `since` says.
---@param options { since: integer?, verify: boolean? }
function M.look(env, from, names, options)
  local heads = { [0] = env.has(names, "event_log") and rows.last_event(from.conn) or nil }
  for id = 1, 2 do
    local head = from.schema.tables.event_head and from.conn.tables.event_head:get(id)
    heads[id] = head and head.sequence or nil
  end
  local view = { heads = heads, total = 0, slices = {}, again = {}, proof = {} }
  for _, name in ipairs(names) do
    local all = rows.filter(name, from.conn)
    local kept = { slices = since_filter(from.conn, name, options.since, all), proof = all }
    kept.again = kept.slices -- for a table that is begun anew
    for _, kind in ipairs { "slices", "again", options.verify and "proof" or nil } do
      local slices, err = rows.slices(from.conn, name, kept[kind])
      if not slices then return nil, err end
      view[kind][name] = slices
    end
    view.total = view.total + from.conn.tables[name]:count()
  end
  return view
end

-- Goes past what has arrived already. How many rows, and their hash; nil: they are not those any more.
local function skip(slices, known, on_rows)
  local count, hash = 0, ""
  while count < known.rows do
    local slice = slices()
    if not slice then return nil end
    count, hash = count + #slice, rows.chain(hash, slice)
    on_rows(#slice)
  end
  if count ~= known.rows or hash ~= known.hash then return nil end
  if known.whole and slices() then return nil end
  return count, hash
end

-- Which rows of the source have values that must be unique in the target, and that a row of the target has; the conflicts come from the target's side.
local function wanted_by(from, to, name)
  return conflicts.finder(from, name, { schema = to.schema })
end

-- Removes from the target what is in the way of the rows to come: what the source does not have (`extra`: all of it; with conflicts = "replace" what has a
-- value that must be unique and that the source gives to another row), and where other columns than the key must be unique, rows that are others there
-- (`changed`), since two that have swapped a value cannot be put one after the other.
local function clear(job, receiver, name, extra, changed)
  local from, to = job.from, job.to
  local wanted = changed and job.conflicts == "replace" and not extra and wanted_by(from, to, name)
  local ok, err = to.hold { name, "event_head" }
  if not ok then return nil, err end
  local keep = rows.filter(name, to.conn)
  local slices
  slices, err = rows.slices(to.conn, name, keep)
  if not slices then return nil, err end
  local key_of, keys = tables.key_reader(to.conn, to.schema, name), {}
  local there = rows.finder(from.conn, from.schema, name)
  local removed = 0
  local told = false
  local function remove_some()
    local gone, good, why = keys, true, nil
    keys = {}
    if told then good, why = receiver.save() end
    told = false
    if not good then return nil, why end
    return receiver.remove(name, gone)
  end
  ok, err = comparing.each_slice(slices, function(slice) -- of before the first removal
    for _, bytes in ipairs(slice) do
      local source = there(key_of(bytes))
      local found = not source and wanted and wanted(bytes)
      if found then
        receiver.tell("replaced", name, conflicts.turned(found[1]))
        told = true
      end
      if not source and extra then removed = removed + 1 end
      if found or not source and extra or source and changed and source ~= bytes then keys[#keys + 1] = tables.removal_key(to.conn, to.schema, name, bytes) end
    end
    if #keys < REMOVE_AT_ONCE then return true end
    return remove_some()
  end)
  if ok then ok, err = remove_some() end
  if not ok then return nil, err end
  return removed
end

local function copy_table(job, name)
  local receiver, progress, view = job.receiver, job.progress, job.view
  local slices, count, hash = view.slices[name], 0, ""
  local unique = job.overwrite and tables.has_unique(job.to.schema, name)
  local known, there = receiver.known(name), false
  if known and unique and not known.whole then known = nil end -- what is cleared has to come again
  if known then
    count, hash = skip(slices, known, function(n) progress.add(name, n, true) end)
    there = count ~= nil and known.whole
    if not count then
      slices, count, hash = view.again[name], 0, ""
      receiver.forget(name)
    end
  end
  local before, turns, removed = receiver.rows, 0, 0
  -- What a table that is written anew has from the first try and the source has lost: only a target that held nothing can tell it from rows of its own.
  local extra, changed = job.delete or job.mode == "new" and receiver.is_anew(name), unique and not there -- the whole table comes
  if extra or changed then
    local err
    removed, err = clear(job, receiver, name, extra, changed)
    if not removed then return nil, err end
  end
  for slice, bytes in slices do
    local ok, err = receiver.put(name, slice, bytes)
    if not ok then return nil, err end
    count, hash, turns = count + #slice, rows.chain(hash, slice), turns + 1
    ok, err = receiver.note(name, count, hash)
    if not ok then return nil, err end
    progress.add(name, #slice)
    if turns % TURN_EVERY == 0 then iu.sleep(0) end
  end
  local ok, err = receiver.finish_table(name, count, hash)
  if not ok then return nil, err end
  return { rows = count, written = receiver.rows - before, removed = removed, hash = hash }
end

-- What stands against the rows of a table, before any is written: in a merge rows of the same key that are others there, and those that have values of rows
-- there which must be unique; with overwrite rows of the target that have such values, and are not the source's. A list of conflicts; nil, err.
local function against(env, from, to, name, options)
  local merge, list = options.mode == "merge", conflicts.list()
  if not merge and (options.delete or not tables.has_unique(to.schema, name)) then return list end
  local side = merge and from or to
  local keep = rows.filter(name, side.conn)
  local slices, err = rows.slices(side.conn, name, merge and since_filter(from.conn, name, options.since, keep) or keep)
  if not slices then return nil, err end
  local in_the_way = merge and conflicts.finder(to, name, { same_key = true }) or wanted_by(from, to, name)
  local key_of, there = tables.key_reader(to.conn, to.schema, name), not merge and rows.finder(from.conn, from.schema, name)
  local ok
  ok, err = comparing.each_slice(slices, function(slice)
    for _, bytes in ipairs(slice) do
      local found = (merge or not there(key_of(bytes))) and in_the_way(bytes)
      if found then conflicts.add(list, merge and found[1] or conflicts.turned(found[1]), env.ctx.config.named_keys) end
    end
    return true
  end)
  if not ok then return nil, err end
  return list
end

-- What ends a copy before it begins: events at sequences that others have; conflicts, where these are not to be settled on the way.
-- What it found, by table as receivers tell it; or nil, err.
local function check_conflicts(env, from, to, names, options)
  if env.has(names, "event_log") then
    local slices, why = rows.slices(from.conn, "event_log", rows.filter("event_log", from.conn))
    local ok
    if slices then ok, why = comparing.each_slice(slices, comparing.event_check(to)) end
    if not ok then return nil, why end
  end
  local told, lists = {}, {}
  if not env.looks_ahead(options) then return told end
  for _, name in ipairs(names) do
    local list, err = against(env, from, to, name, options)
    if not list then return nil, err end
    lists[name] = list.count > 0 and list or nil
    told[name] = { [options.conflicts == "keep" and "skipped" or "replaced"] = lists[name] }
  end
  local refusal = options.conflicts == "refuse" and conflicts.refusal(lists, names, options.mode)
  if refusal then return nil, refusal end
  return told
end

local function plan(from, to, names, view)
  local report = { dry_run = true, tables = {}, rows = view.total, from = from.text, to = to.text }
  for _, name in ipairs(names) do
    local count = 0
    for slice in view.slices[name] do count = count + #slice end
    report.tables[name] = { rows = count }
  end
  return report
end

---@param env table { ctx }
---@param from table end
---@param to table end
---@param options table checked
function M.run(env, from, to, options)
  local names, err = tables.choose(from.schema, options)
  if not names then return nil, err end
  local left_out
  names, left_out = tables.readable(from, names, options.tables)
  local ok
  ok, err = ends.check_target(to)
  if ok then ok, err = ends.check_same(tables, names, from, to) end
  if not ok then return nil, err end
  local held = env.with_heads(names)
  ok, err = from.hold(held)
  if not ok then return nil, err end

  local receiver = receivers.new(env, to, names, {
    mode = options.mode, conflicts = options.conflicts, restart = options.restart,
    what = { copy = from.text, tables = names, since = options.since or iu.null, mode = options.mode, delete = options.delete or false },
  })
  if not options.dry_run then ok, err = receiver.begin(false) else ok, err = receiver.begin(true) end
  if not ok then return nil, err end
  local told = {}
  if options.mode ~= "new" and not receiver.resumed then
    ok, err = to.hold(env.looked_at(to, names, options))
    if ok then told, err = check_conflicts(env, from, to, names, options) end
    if not ok or not told then
      if not options.dry_run then receiver.finish() end -- nothing was written, so nothing is unfinished
      return nil, err
    end
  end
  local view
  view, err = M.look(env, from, names, options)
  if not view then return nil, err end
  if options.dry_run then
    local report = plan(from, to, names, view)
    conflicts.report(report, told)
    return M.tell_source(report, from, names, left_out, options)
  end

  ok, err = receiver.prepare(view.heads)
  if not ok then return nil, err end
  local job = {
    from = from, to = to, receiver = receiver, view = view, delete = options.delete,
    conflicts = options.conflicts, mode = options.mode, overwrite = options.mode == "overwrite",
    progress = progresses.new(env.ctx.clock, options.progress, view.total),
  }
  local report = M.tell_source({ tables = {}, from = from.text, to = to.text, resumed = receiver.resumed }, from, names, left_out, options)
  for _, name in ipairs(names) do
    report.tables[name], err = copy_table(job, name)
    if not report.tables[name] then return nil, err end
  end
  conflicts.report(report, receiver.told())
  ok, err = receiver.finish()
  if not ok then return nil, err end
  report.rows, report.bytes, report.seconds = receiver.rows, receiver.bytes, job.progress.seconds()
  return report, names, view
end

return M
