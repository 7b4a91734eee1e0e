-- work.lua: one migration that runs: its steps are numbered and named, its batches go on behind the last key, it can be stopped, and it tells how far it is.
-- What a step does to the universe is its executor's business (in_copy.lua, live.lua).

local iu = require "inner_universe"

local BREATH = 0.01 -- seconds of work between two turns of the loop

local work = {}

---The err that a run which was asked to stop ends with; it is raised through the migration's function.
---@param migration table
---@return inner_universe.Error
function work.stopped(migration)
  return iu.errors.new("MigrationError", ("%s: stopped at a checkpoint"):format(migration.name), { code = "STOPPED", retryable = true })
end

---What a failed migration is told as: its file, way and step, with what was raised as the cause.
---@param self table
---@param raised any
---@return inner_universe.Error
function work.failure(self, raised)
  local cause = iu.errors.from(raised)
  if cause.code == "STOPPED" or cause.code == "LOCK_LOST" then return cause end
  local step = self.label and ("step %d (%s): "):format(self.counter, self.label) or ""
  return iu.errors.new("MigrationError", ("%s: %s: %s%s"):format(self.migration.path, self.direction, step, cause.message), {
    cause = cause, details = { version = self.migration.version, file = self.migration.path, direction = self.direction, step = self.counter },
  })
end

---Raises what a call answered as nil, err.
function work.must(value, err, ...)
  if value == nil and err ~= nil then error(err, 0) end
  return value, err, ...
end

---@param migration table of files.load
---@param direction "up"|"down"
---@param how { stop?: function, progress?: function, dry_run?: boolean, batch_size: integer, can_wait: function, clock: function }
---@return table
function work.new(migration, direction, how)
  local self = {
    migration = migration, direction = direction, how = how, counter = 0, label = nil, rows = 0, began = how.clock(),
  }

  local breathed = self.began
  local inside, ended = false, nil -- in a step; the err of a run that was told to stop

  ---Raises it again where a migration's own pcall caught it: what was stopped in the middle is not gone on with, and never counts as through.
  function self.check_ended()
    if ended then error(ended, 0) end
  end

  ---Where a run may end: now and then others get their turn, and signals are noticed.
  function self.check_stop()
    self.check_ended()
    local now = how.clock()
    if now - breathed >= BREATH and how.can_wait() then
      pcall(iu.sleep, 0)
      breathed = how.clock()
    end
    if how.stop and how.stop() then
      ended = work.stopped(migration)
      error(ended, 0)
    end
  end

  ---Begins a step: it is counted, and a place to stop. What is called inside of one is part of it.
  ---@param label string
  function self.enter(label)
    if inside then return self.check_ended() end
    self.counter, self.label = self.counter + 1, label
    self.check_stop()
  end

  ---Refuses what is a step of its own inside of one.
  function self.refuse_inside(label)
    if not inside then return end
    error(iu.errors.new("MigrationError", ("m: %s inside of a batch: a batch has no steps of its own"):format(label)), 0)
  end

  ---A step that calls functions of the migration: fn is the whole of it, also where it raises.
  ---@param label string
  ---@param fn function
  function self.step(label, fn)
    self.refuse_inside(label)
    self.enter(label)
    local left <close> = setmetatable({}, { __close = function() inside = false end })
    inside = true
    fn()
    return left and nil
  end

  function self.tell(done, total)
    if how.progress then
      how.progress {
        version = migration.version, name = migration.name, direction = direction, step = self.counter, label = self.label, done = done, total = total,
      }
    end
  end

  function self.duration_ms() return (how.clock() - self.began) * 1000 end

  ---Goes through a source in batches. `run(fn)` makes one of them: it calls fn(tx), which answers what the checkpoint is afterwards, and keeps that.
  ---source: { key = field or nil, last = function() or nil, count = function(), page = function(tx, after, upto, size), body = function(rows, tx) }
  ---@param run fun(fn: fun(tx: table): table)
  ---@param source table
  ---@param size integer? nil: all at once
  ---@param state table the checkpoint to go on from: { after, upto, done, total }
  function self.batches(run, source, size, state)
    local upto, after, done, total = state.upto, state.after, state.done or 0, state.total
    if total == nil then
      total = source.count()
      if source.key then upto = source.last() end
    end
    self.tell(done, total)
    if total == 0 or (source.key and upto == nil) then return end
    local count, key
    repeat
      self.check_stop()
      run(function(tx)
        local rows = source.page(tx, after, upto, size)
        count, key = #rows, source.key and rows[#rows] and rows[#rows][source.key]
        if count > 0 then source.body(rows, tx) end
        return { after = key or after, upto = upto, done = done + count, total = total }
      end)
      after, done = key or after, done + count
      self.rows = self.rows + count
      self.tell(done, total)
    until not size or not source.key or count < size
  end

  return self
end

return work
