-- live.lua: migrations on a universe that is open: in memory, a file, a server. One that is not `online` is one transaction of the manager (within the caps of
-- `transact`); an `online` one is a transaction per step or batch, each with its checkpoint, and goes on behind the last one when it is run again.
--
-- Every transaction holds the proof that this run still has the lock. Functions may be called again, where others changed meanwhile what they read.

local iu = require "inner_universe"

local plugin = ...
local work = plugin.load "work"
local face = plugin.load "face"
local history = plugin.load "history"
local rows = plugin.load "rows"
local publish = plugin.load "publish"

local must = work.must
local REHEARSED = iu.errors.new("MigrationError", "a dry run is undone", { code = "REHEARSED" })

---@param env { ctx: table, manager: table, lock: table, backend: string }
return function(env)
  local ctx, manager, lock = env.ctx, env.manager, env.lock
  local live = {}

  local function refuse_schema(name)
    local how = env.backend == "server" and "the schema of a server changes by publishing a module: m:publish(FILE) in an online migration"
      or "the schema of a universe that is open stays as it is: run this one before it is opened, by iu.migrations(target, options):up() or `iu migrate up`"
    error(iu.errors.new("MigrationError", ("m:%s: %s"):format(name, how), { code = "SCHEMA" }), 0)
  end

  local function refuse_rows(name)
    error(iu.errors.new("MigrationError", ("table `%s`: rows of a module's table are written by its reducers while the universe is open: "
      .. "run this one before it is opened, by iu.migrations(target, options):up() or `iu migrate up`"):format(name), { code = "SCHEMA" }), 0)
  end

  -- A server answers no pages in the order of a key: the whole table is subscribed while a step goes through it, and read here.
  local function while_held(name, fn)
    if env.backend ~= "server" then return fn() end
    local subscription = must(ctx.conn:subscribe(('SELECT * FROM "%s"'):format(name)))
    local guard <close> = setmetatable({}, { __close = function()
      if subscription:is_active() then subscription:unsubscribe() end
    end })
    must(subscription:wait())
    fn()
    return guard and nil
  end

  -- What both ways share of an executor.
  local function base(w, how)
    local exec = { work = w, how = how, check = ctx.check, backend = env.backend, dry_run = how.dry_run == true, log = ctx.log, shared = true }
    if env.backend ~= "server" then exec.page_size = how.batch_size end -- of rows that are only read; nil: all of them
    function exec.manager() return manager end
    function exec.conn() return ctx.conn end
    exec.schema = refuse_schema
    function exec.put_rows(tx, name, changed)
      if not rows.OWN[name] then refuse_rows(name) end
      rows.put(ctx.conn, tx, name, changed)
    end
    function exec.update_rows(name, fn, size, state)
      if not rows.OWN[name] then refuse_rows(name) end
      rows.update(exec, name, fn, size, state)
    end
    return exec
  end

  local function fields_of(migration, what)
    return history.fields(migration, what, ctx.config.error_bytes_max)
  end

  -- A refused transaction: the lock's loss comes before anything else it may look like.
  local function why(err)
    if err.kind == "ConflictError" then return lock.lost() or err end
    return err
  end

  -- What is too much for one transaction.
  local function too_large(err)
    if err.kind ~= "OverloadedError" and not err.message:find("^operations: %d+, expected at most") then return err end
    local ways = env.backend == "server" and "mark it online = true" or "mark it online = true, or run it before the universe is opened (`iu migrate up`)"
    return iu.errors.new(err.kind, ("it is too much for one transaction: %s (%s)"):format(ways, err.message), { code = err.code, cause = err })
  end

  -- one transaction ----------------------------------------------------------------------------------------------------

  -- The tables that methods of a transaction read and write.
  local KIND_OF = {}
  for _, kind in ipairs { "entity", "relation" } do
    local plural = kind == "entity" and "entities" or "relations"
    for _, what in ipairs { "create", "update", "delete" } do KIND_OF[("%s_%s"):format(what, kind)] = { kind, writes = true } end
    KIND_OF["get_" .. kind], KIND_OF["query_" .. plural] = { kind }, { kind }
  end
  local PUTS_ROWS = { ImportRows = true, RemoveRows = true }

  -- The transaction for one migration. It reads raw rows (and states) as they were committed, and its methods do not know of raw rows that it puts: a step
  -- that would stand on what an earlier one wrote, and not see it, is refused. written: table -> { w, step, rows }, of the whole transaction.
  local function guarded(tx, w, written)
    local function touch(name, as_rows, writes)
      local before = written[name]
      local other = before and (before.w ~= w or before.step ~= w.counter)
      if other and (as_rows or before.rows) then
        local way = before.w ~= w and "run one after the other (`to`)" or not w.migration.online and "mark it online = true, or do both in one step"
        error(iu.errors.new("MigrationError",
          ("table `%s` was written by step %d of %s before: within one transaction its rows are read as they were committed%s"):format(
            name, before.step, before.w.migration.name, way and ": " .. way or ""), { code = "ONE_TRANSACTION" }), 0)
      end
      if writes then written[name] = { w = w, step = w.counter, rows = as_rows or (before and before.rows) } end
    end
    local mine = { publish_event = function(_, ...) return tx:publish_event(...) end }
    for name, what in pairs(KIND_OF) do
      mine[name] = function(_, ...)
        touch(what[1], false, what.writes)
        return tx[name](tx, ...)
      end
    end
    function mine.join(_, tag, fields)
      if PUTS_ROWS[tag] then touch(fields.table, true, true) end
      if tag == "UpdateConfig" then touch("config", false, true) end
      return tx:join(tag, fields)
    end
    return mine
  end

  local function one_of(raw_tx, w, how, written)
    local exec = base(w, how)
    local run = iu.uuid()
    local tx = guarded(raw_tx, w, written)
    local done = {}
    exec.online = false
    function exec.reader() return tx end
    function exec.new_id() return iu.uuid() end
    function exec.run_id() return run end
    function exec.after(fn) done[#done + 1] = fn end
    function exec.write(label, fn)
      w.enter(label)
      return must(fn(tx))
    end
    function exec.step(kind, label, fn)
      w.step(("%s %s"):format(kind, label), function() fn {} end)
    end
    function exec.batch(fn) fn(tx) end
    function exec.batches(source, size, state)
      if not source.raw then size = nil end -- each page would be laid over all that the transaction wrote
      while_held(source.table, function() w.batches(function(fn) fn(tx) end, source, size, state) end)
    end
    function exec.publish()
      error(iu.errors.new("MigrationError", "m:publish: a module cannot be published within a transaction: mark the migration online = true"), 0)
    end
    return exec, done
  end

  -- Runs several in one transaction (a real run has one of them); w of the one that failed.
  -- list: { entry, direction } each.
  local function in_transaction(list, how)
    local w, done, finished
    local ok, err = manager:transaction(function(tx)
      local written = {}
      done, finished = {}, {}
      for _, step in ipairs(list) do
        local migration, direction = step.entry, step.direction
        w = work.new(migration, direction, how)
        local exec, after = one_of(tx, w, how, written)
        migration[direction](face.new(exec))
        w.check_ended()
        table.move(after, 1, #after, #done + 1, done)
        finished[#finished + 1] = w
        tx:join("RecordMigration", fields_of(migration, {
          status = direction == "up" and "applied" or "reverted", step = w.counter, duration_ms = w.duration_ms(),
        }))
      end
      w = nil
      if how.dry_run then
        local fine, wrong = tx:rehearse()
        return nil, fine and REHEARSED or wrong
      end
      tx:join(lock.operation())
      return true
    end)
    if ok then
      lock.took()
      for _, fn in ipairs(done) do fn() end
    elseif err.code ~= "REHEARSED" then
      err = too_large(why(err))
      local last = list[#list]
      return nil, work.failure(w or { migration = last.entry, direction = last.direction, counter = 0 }, err)
    end
    local reports = {}
    for i, each in ipairs(finished) do reports[i] = { rows = each.rows, steps = each.counter, duration_ms = each.duration_ms() } end
    return reports
  end

  -- in steps and batches ------------------------------------------------------------------------------------------------

  -- An id that a run which is continued makes again.
  local function repeatable_id(run, counter)
    local digits = assert(iu.json.hash(("%s:%d"):format(run, counter)))
    return ("%s-%s-8%s-8%s-%s"):format(digits:sub(1, 8), digits:sub(9, 12), digits:sub(13, 15), digits:sub(16, 18), digits:sub(19, 30))
  end

  local function run_online(migration, direction, how, row)
    local w = work.new(migration, direction, how)
    local resumes = history.is_halfway(row) and row.checkpoint.direction == direction
    local checkpoint = resumes and row.checkpoint or { run = iu.uuid(), direction = direction }
    local finished, spent = resumes and row.step or 0, checkpoint.spent or 0
    local exec, current = base(w, how), nil
    exec.online, exec.in_batches = true, true

    local function note(status, at, err)
      return fields_of(migration, {
        status = status, step = finished, error = err, duration_ms = spent + w.duration_ms(),
        checkpoint = { run = checkpoint.run, direction = direction, label = checkpoint.label, at = at, spent = math.floor(spent + w.duration_ms()) },
      })
    end

    -- One transaction: fn(tx), which may answer what the step goes on from, the record and the lock. at: a function that gives the record.
    local function commit(fn, fields)
      local result
      local after
      local ok, err = manager:transaction(function(tx)
        after = {}
        exec.after = function(each) after[#after + 1] = each end
        current = tx
        local fine, answer = pcall(fn, tx)
        current = nil
        if not fine then error(answer, 0) end
        result = answer
        tx:join("RecordMigration", fields(answer))
        tx:join(lock.operation())
        return true
      end)
      if not ok then error(why(err), 0) end
      lock.took()
      for _, each in ipairs(after) do each() end
      return result
    end

    -- The next step: whether it was done by the run before, and what it goes on from.
    local function enter(label)
      if current then
        error(iu.errors.new("MigrationError", ("m: %s inside of a batch: a batch is one transaction, and has no steps of its own"):format(label)), 0)
      end
      w.counter, w.label = w.counter + 1, label
      if w.counter <= finished then return true end
      w.check_stop()
      local at = resumes and w.counter == row.step + 1 and checkpoint.at or nil
      if at and checkpoint.label ~= label then
        error(iu.errors.new("MigrationError", ("it was stopped in step %d (%s), which is %s now: steps that were begun stay in their place"):format(
          w.counter, checkpoint.label or "?", label)), 0)
      end
      return false, at
    end

    local function leave() finished, checkpoint.label, checkpoint.at = w.counter, nil, nil end

    function exec.reader() return current or manager end
    function exec.run_id() return checkpoint.run end
    function exec.new_id()
      if current then return iu.uuid() end
      return repeatable_id(checkpoint.run, w.counter + 1)
    end

    function exec.write(label, fn, skipped)
      if current then return must(fn(current)) end
      if enter(label) then return skipped end
      local before = finished
      local ok, result = pcall(commit, function(tx) return must(fn(tx)) end, function()
        finished = w.counter
        local fields = note("running")
        finished = before
        return fields
      end)
      if not ok then error(result, 0) end
      leave()
      return result
    end

    function exec.batch(fn)
      commit(fn, function(at)
        checkpoint.label, checkpoint.at = w.label, at
        return note("running", at)
      end)
    end

    function exec.batches(source, size, state)
      while_held(source.table, function() w.batches(exec.batch, source, size or how.batch_size, state) end)
    end

    function exec.step(kind, label, fn)
      local skipped, at = enter(("%s %s"):format(kind, label))
      if skipped then return end
      fn(at or {})
      leave()
      commit(function() end, function() return note("running") end)
    end

    function exec.publish(path, options)
      local result
      if current then enter("publish") end
      if enter("publish " .. path) then return true end
      result = publish.run(ctx, path, options)
      leave()
      commit(function() end, function() return note("running") end)
      return result
    end

    local ok, raised = pcall(function()
      if not resumes then commit(function() end, function() return note("running") end) end
      migration[direction](face.new(exec))
      w.check_ended()
      w.label = nil
      commit(function() end, function()
        return fields_of(migration, {
          status = direction == "up" and "applied" or "reverted", step = w.counter, duration_ms = spent + w.duration_ms(),
        })
      end)
    end)
    if ok then return { rows = w.rows, steps = w.counter, duration_ms = spent + w.duration_ms(), resumed = resumes or nil } end
    local err = work.failure(w, raised)
    if err.code ~= "LOCK_LOST" then
      local recorded, failed = history.record(ctx.conn, note(err.code == "STOPPED" and "stopped" or "failed", checkpoint.at, err.message))
      if not recorded then ctx.log.warn("%s: its failure could not be recorded: %s", migration.name, failed.message) end
    end
    return nil, err
  end

  ---Runs one. row: what the history says of it so far.
  ---@param migration table
  ---@param direction "up"|"down"
  ---@param how table
  ---@param row? table
  ---@return table? report
  ---@return inner_universe.Error? err
  function live.run(migration, direction, how, row)
    if migration.online then return run_online(migration, direction, how, row) end
    local reports, err = in_transaction({ { entry = migration, direction = direction } }, how)
    if reports then return reports[1] end
    if err.code ~= "LOCK_LOST" and err.code ~= "STOPPED" then
      -- A way back that failed leaves it applied.
      local status = direction == "up" and "failed" or "applied"
      local details = err.details or {}
      local recorded, failed = history.record(ctx.conn, fields_of(migration, { status = status, step = details.step or 0, error = err.message }))
      if not recorded then ctx.log.warn("%s: its failure could not be recorded: %s", migration.name, failed.message) end
    end
    return nil, err
  end

  ---Runs all of them in one transaction, and has it undone.
  ---@param list { entry: table, direction: "up"|"down" }[]
  ---@param how table
  ---@return table[]? reports
  ---@return inner_universe.Error? err
  function live.rehearse(list, how) return in_transaction(list, how) end

  return live
end
