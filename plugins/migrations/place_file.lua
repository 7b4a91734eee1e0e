-- place_file.lua: migrations of a universe's file that is closed. What is not online runs in a working copy (in_copy.lua), which is kept from one to the next
-- and published after each; what is online runs on the file itself, opened for it. The file's own lock keeps everybody else out.

local iu = require "inner_universe"

local plugin = ...
local history = plugin.load "history"
local make_in_copy = plugin.load "in_copy"
local plan = plugin.load "plan"
local rows_of = plugin.load "rows"
local work = plugin.load "work"

local POLL = 0.2 -- seconds between two tries at a file that somebody has open

---@param tool table path, config, settings, log, clock, can_wait, module, open(extra)
return function(tool)
  local place = {}
  local path = tool.path

  local function exists(name)
    local file = io.open(name, "rb")
    if file then file:close() end
    return file ~= nil
  end

  -- A universe without anything in it, where there is none.
  function place.create(dry_run)
    if exists(path) then return true end
    if dry_run then
      return nil, iu.errors.new("StorageError", ("%s: there is no such file, and a dry run makes none: nothing to try it on"):format(path))
    end
    local conn, err = iu.connect("file:" .. path)
    if not conn then return nil, err end
    return conn:close()
  end

  -- The history of a file that was closed properly, which is one SQLite database with everything in its tables: no row of another table is looked at. nil: it
  -- is to be read another way.
  local function rows_by_sql()
    for _, left in ipairs { ".lock", "-wal", "-journal" } do
      if exists(path .. left) then return nil end
    end
    local unfolded = tool.sql(path, "SELECT count(*) FROM _iu_journal")
    if not unfolded or unfolded.rows[1][1] ~= 0 then return nil end
    local audit = tool.sql(path, "SELECT value FROM config WHERE key = 'enable_audit_log'")
    local found = tool.sql(path, "SELECT version, name, checksum, status, step, checkpoint, error, applied_at, duration_ms, applied_by FROM schema_migration")
    if not audit or not found then return nil end
    place.audit = not (audit.rows[1] and audit.rows[1][1] == "false")
    local rows = {}
    for i, values in ipairs(found.rows) do
      rows[i] = {}
      for at, name in ipairs(found.columns) do rows[i][name] = values[at] end
    end
    return history.in_order(rows)
  end

  -- The same of a file that is open, or was killed. It is only read.
  local function rows_by_snapshot()
    local conn, err = iu.connect("file:" .. path, { snapshot = true })
    if not conn and err.kind == "StorageError" then -- a process was killed while it closed it: that has to be undone first, which reading alone cannot
      local copy = iu.working_copy(path)
      if copy then
        copy:discard()
        conn, err = iu.connect("file:" .. path, { snapshot = true })
      end
    end
    if not conn then return nil, err end
    local held <close> = conn
    local row = held:get("config", "enable_audit_log")
    place.audit = not (row and row.value == "false")
    return history.read(held)
  end

  function place.rows()
    if not exists(path) then return nil, iu.errors.new("StorageError", ("%s: there is no such file (up with `create` makes it)"):format(path)) end
    local rows = rows_by_sql()
    if rows then return rows end
    return rows_by_snapshot()
  end

  function place.lock_holder()
    local file = io.open(path .. ".lock", "rb")
    if not file then return nil end
    local pid = file:read("l")
    file:close()
    if pid and exists(path) and tool.process.exists(math.tointeger(tonumber(pid)) or 0x7FFFFFFF) then return { owner = "process " .. pid } end
  end

  -- The configuration of a universe on the copy: its own switches stay as they are.
  local function universe_config()
    local features = {}
    for name, value in pairs(tool.settings.features) do features[name] = value end
    features.enable_audit_log = place.audit
    return { features = features, log_level = tool.settings.log_level, cache_size_mb = tool.settings.cache_size_mb }
  end

  -- What a call answered, or the err that it raised: what progress raises to end it comes through so.
  local function protected(fn)
    local fine, answer, why = pcall(fn)
    if fine then return answer, why end
    if not iu.errors.is(answer) then error(answer, 0) end
    return nil, answer
  end

  -- Tries again while somebody has the file open.
  local function patiently(how, fn)
    local ends = tool.clock() + how.lock_timeout
    while true do
      local made, err = protected(fn)
      if made or err.kind ~= "UniverseLockedError" or tool.clock() >= ends or (how.stop and how.stop()) then return made, err end
      iu.sleep(POLL)
    end
  end

  -- One try of a session: the copy, made when it is needed.
  local function new_session(how)
    local session = {}
    local copy
    local undoing = false -- which nobody stops
    local in_copy = make_in_copy { log = tool.log, check = tool.check, config = tool.config, universe = universe_config() }

    local function progress(_, done, total)
      local w = how.telling
      if undoing then return end
      if w and how.progress then w.tell(done, total) end
      if w then w.check_stop() elseif how.stop and how.stop() then error(work.stopped { name = path }, 0) end
    end

    local function open_copy()
      if copy then return copy end
      local made, err = patiently(how, function() return iu.working_copy(path, { progress = progress }) end)
      if not made then return nil, err end
      copy = made
      return copy
    end

    function session.close()
      if not copy then return end
      local closing = copy
      copy = nil
      closing:discard()
    end

    function session.rows() return nil end

    local function put_record(fields)
      local owner, err = copy:get("config", "owner")
      if not owner then return nil, err or iu.errors.new("StorageError", path .. ": it has no owner") end
      fields.applied_at, fields.applied_by = iu.now(), owner.value
      return copy:put(history.TABLE, fields)
    end

    local function fields_of(migration, what)
      return history.fields(migration, what, tool.config.error_bytes_max)
    end

    local function row_now(migration)
      local row, err = copy:get(history.TABLE, migration.version)
      if row then return history.decode(row) end
      return nil, err
    end

    -- Back to what the file has, with a word about the failure in it.
    local function fail(migration, direction, err)
      undoing = true
      local ok, why = copy:rollback()
      if ok and err.code ~= "STOPPED" then
        local status = direction == "up" and "failed" or "applied"
        ok, why = put_record(fields_of(migration, { status = status, step = err.details and err.details.step or 0, error = err.message }))
        if ok then ok, why = copy:publish { keep_open = true } end
      end
      if not ok then
        tool.log.warn("%s: its failure could not be recorded: %s", migration.name, why.message)
        session.close()
      end
      undoing = false
      return nil, err
    end

    local function finish(migration, direction, report)
      return put_record(fields_of(migration, {
        status = direction == "up" and "applied" or "reverted", step = report.steps, duration_ms = report.duration_ms,
      }))
    end

    -- last: with this one the file is what the program expects, whose module says so.
    local function run_in_copy(migration, direction, last)
      local ok, err = open_copy()
      if not ok then return nil, err end
      local row, why = row_now(migration)
      if why then return nil, why end
      if history.is_applied(row) == (direction == "up") then return { skipped = true } end -- somebody was quicker
      local report
      report, err = in_copy.run(copy, migration, direction, how)
      if not report then return fail(migration, direction, err) end
      ok, err = finish(migration, direction, report)
      if ok then ok, err = protected(function() return copy:publish { keep_open = true, module = last and tool.module or nil } end) end
      if not ok then return fail(migration, direction, work.failure({ migration = migration, direction = direction, counter = report.steps }, err)) end
      return report
    end

    local function run_online(migration, direction)
      session.close()
      local module = tool.module
      if module == nil then -- the tables of modules, without their reducers
        local modules, why = iu.file_modules(path)
        if not modules then return nil, why end
        module = #modules > 0 and modules or nil
      end
      local manager, err = patiently(how, function() return tool.open { features = { enable_audit_log = place.audit }, module = module } end)
      if not manager then return nil, err end
      local held <close> = manager
      local object
      object, err = held:plugin("migrations")
      if not object then return nil, err end
      return object:run_one(migration, direction, how)
    end

    function session.run(migration, direction, _, _, last)
      if migration.online then return run_online(migration, direction) end
      return run_in_copy(migration, direction, last)
    end

    function session.rehearse(list)
      local ok, err = open_copy()
      if not ok then return nil, err end
      local reports = {}
      for i, step in ipairs(list) do
        local report
        report, err = in_copy.run(copy, step.entry, step.direction, how)
        if not report then return nil, err end
        ok, err = finish(step.entry, step.direction, report)
        if not ok then return nil, err end
        reports[i] = report
      end
      if tool.module ~= nil then
        ok, err = copy:verify(tool.module)
        if not ok then return nil, err end
      end
      return reports
    end

    function session.record(rows)
      local ok, err = open_copy()
      for _, fields in ipairs(rows) do
        if ok then ok, err = put_record(fields) end
      end
      if ok then ok, err = copy:publish { keep_open = true } end
      return ok, err
    end

    return session
  end

  function place.session(how, fn)
    local session = new_session(how)
    local guard <close> = setmetatable({}, { __close = function() session.close() end })
    local answer, why = fn(session)
    return guard and answer, why
  end

  -- A universe to read from: on a working copy; where there can be none (somebody has the file open, the folder is not ours to write) a snapshot. It is opened
  -- when something is read.
  local function reading_universe()
    local copy, err = iu.working_copy(path)
    if not copy and err.kind ~= "UniverseLockedError" and err.kind ~= "StorageError" then return nil, err end
    local manager
    local function universe()
      if manager then return manager end
      local opened, why
      if copy then
        opened, why = copy:open_universe(universe_config())
      else
        local modules
        modules, why = iu.file_modules(path)
        if modules then
          opened, why = iu.open("file:" .. path, { snapshot = true, module = #modules > 0 and modules or nil, log_level = tool.settings.log_level })
        end
      end
      if not opened then error(why, 0) end
      manager = opened
      return manager
    end
    return universe, function()
      if manager then manager:shutdown() end
      if copy then copy:discard() end
    end
  end

  function place.plan(list)
    local universe, close = reading_universe()
    if not universe then return nil, close end
    local guard <close> = setmetatable({}, { __close = close })
    local reader = {
      manager = universe,
      count = function(name)
        local conn = universe().client:connection()
        return conn:schema().tables[name] and rows_of.count(conn, name) or nil
      end,
      count_of = function(kind, type_name) return rows_of.count(universe().client:connection(), kind, kind .. "_type", type_name) end,
    }
    local plans = {}
    for i, step in ipairs(list) do plans[i] = plan.of(reader, step.entry, step.direction, { backend = "file", log = tool.log }) end
    return guard and plans
  end

  return place
end
