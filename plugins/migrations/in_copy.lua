-- in_copy.lua: migrations of a closed file, in a working copy of it (iu.working_copy) that takes its place when one is through: all of it or nothing, however
-- large, killed at any moment or not. Schema steps and raw rows go to the copy; entities, relations and states to a universe that is opened on the copy when
-- the first of them comes, and closed before the copy is worked on again.

local iu = require "inner_universe"

local plugin = ...
local work = plugin.load "work"
local face = plugin.load "face"
local rows = plugin.load "rows"

local must = work.must

-- A manager's methods as a transaction has them: each counts at once, since nobody else sees the copy.
local function direct(manager)
  local tx = {}
  local conn = manager.client:connection()
  for _, name in ipairs {
    "create_entity", "get_entity", "update_entity", "delete_entity", "query_entities", "create_relation", "get_relation", "update_relation",
    "delete_relation", "query_relations", "publish_event",
  } do
    tx[name] = function(_, ...) return manager[name](manager, ...) end
  end
  function tx.join(_, tag, fields) return must(conn:call("transact", { { tag = tag, value = fields } })) end
  return tx
end

---@param env { log: table, check: table, config: table, universe: table } universe: the configuration of the universe on the copy
return function(env)
  local in_copy = {}

  local function executor(copy, w, how)
    local exec = { work = w, how = how, check = env.check, backend = "file", dry_run = how.dry_run == true, online = false, log = env.log, shared = false,
      page_size = how.batch_size }
    local run, manager, tx = iu.uuid(), nil, nil
    local waiting = {} -- rows of modules' tables, by table, written when the step is over
    local walked -- the table that the copy itself is going through: its functions have no m

    function exec.refuse_walked()
      if not walked then return end
      error(iu.errors.new("MigrationError",
        ("m inside of a function over rows of `%s`: it only answers for its row (m:batches can do more)"):format(walked)), 0)
    end

    function exec.manager()
      exec.refuse_walked()
      if not manager then
        manager = must(copy:open_universe(env.universe))
        tx = direct(manager)
      end
      return manager
    end
    function exec.close()
      if not manager then return end
      local closing = manager
      manager, tx = nil, nil
      must(closing:shutdown())
    end
    function exec.conn() return exec.manager().client:connection() end
    function exec.reader() return exec.manager() end
    function exec.new_id() return iu.uuid() end
    function exec.run_id() return run end
    function exec.after(fn) fn() end

    local function flush()
      for name, list in pairs(waiting) do
        exec.close()
        for i, row in ipairs(list) do
          must(copy:put(name, row))
          if i % how.batch_size == 0 then w.check_stop() end
        end
      end
      waiting = {}
    end

    -- What the copy itself does, calling functions of the migration: its summary.
    local function on_copy(name, fn)
      exec.close()
      local left <close> = setmetatable({}, { __close = function() walked = nil end })
      walked = name
      local _, summary = must(fn())
      return left and summary
    end

    function exec.write(label, fn)
      exec.refuse_walked()
      w.enter(label)
      exec.manager()
      return must(fn(tx))
    end

    function exec.step(kind, label, fn)
      exec.refuse_walked()
      waiting = {} -- of one that failed, which the migration knows
      w.step(("%s %s"):format(kind, label), function() fn {} end)
      flush()
    end

    function exec.batch(fn)
      exec.manager()
      fn(tx)
    end
    function exec.batches(source, size, state) w.batches(exec.batch, source, size or how.batch_size, state) end

    function exec.put_rows(_, name, changed)
      if rows.OWN[name] then return rows.put(exec.conn(), tx, name, changed) end
      local list = waiting[name] or {}
      waiting[name] = list
      table.move(changed, 1, #changed, #list + 1, list)
    end

    function exec.update_rows(name, fn, size, state)
      if rows.OWN[name] then return rows.update(exec, name, fn, size, state) end -- what other rows say of them follows
      local done = on_copy(name, function() return true, must(copy:update(name, fn)) end)
      w.rows = w.rows + done.rows
      w.tell(done.rows, done.rows)
    end

    function exec.schema(name, ...)
      local label, args = ("%s %s"):format(name, tostring((...))), table.pack(...)
      exec.refuse_walked()
      w.refuse_inside(label)
      w.enter(label)
      local summary = on_copy(tostring((...)), function() return copy[name](copy, table.unpack(args, 1, args.n)) end)
      if type(summary) == "table" and summary.rows then w.rows = w.rows + summary.rows end
      return true
    end

    function exec.publish()
      error(iu.errors.new("MigrationError", "m:publish: for servers; the schema of a file changes by m:add_column and its kin"), 0)
    end
    return exec
  end

  ---Runs one on the copy, which has all of it afterwards, but not its record; where it fails, some of it.
  ---@param copy table
  ---@param migration table
  ---@param direction "up"|"down"
  ---@param how table
  ---@return table? report
  ---@return inner_universe.Error? err
  function in_copy.run(copy, migration, direction, how)
    local w = work.new(migration, direction, how)
    how.telling = w -- what the copy says of its own work is told as this step's
    local exec = executor(copy, w, how)
    local ok, raised = pcall(function()
      migration[direction](face.new(exec))
      w.check_ended()
      w.label = nil
      exec.close()
    end)
    how.telling = nil
    if ok then return { rows = w.rows, steps = w.counter, duration_ms = w.duration_ms() } end
    pcall(exec.close)
    return nil, work.failure(w, raised)
  end

  return in_copy
end
