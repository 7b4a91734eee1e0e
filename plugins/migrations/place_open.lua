-- place_open.lua: migrations on a universe that is open, under the lease of lock.lua.

local plugin = ...
local history = plugin.load "history"
local make_lock = plugin.load "lock"
local make_live = plugin.load "live"
local plan = plugin.load "plan"
local rows_of = plugin.load "rows"

---@param ctx table
---@param manager table
---@param backend "memory"|"file"|"server"
return function(ctx, manager, backend)
  local place = {}

  local function new_lock()
    local pid = ctx.process.own_pid()
    return make_lock {
      conn = function() return ctx.conn end, embedded = backend ~= "server", config = ctx.config, clock = ctx.clock,
      owner = ("%s, process %s"):format(ctx.conn:identity():sub(1, 16), pid or "?"),
    }
  end

  function place.rows() return history.read(ctx.conn) end
  function place.lock_holder() return new_lock().holder() end

  function place.session(how, fn)
    local lock = new_lock()
    local live = make_live { ctx = ctx, manager = manager, lock = lock, backend = backend }
    local session = {}
    session.rows = place.rows
    session.run = live.run
    session.rehearse = live.rehearse
    function session.record(rows)
      local ok, err = manager:transaction(function(tx)
        for _, fields in ipairs(rows) do tx:join("RecordMigration", fields) end
        tx:join(lock.operation())
        return true
      end)
      if ok then lock.took() end
      return ok, err
    end
    local ok, err = lock.take(how.lock_timeout, how.stop)
    if not ok then return nil, err end
    local guard <close> = setmetatable({}, { __close = function()
      if not ctx.is_closed() and not ctx.conn:is_closed() then lock.release() end
    end })
    local answer, why = fn(session)
    return guard and answer, why
  end

  function place.plan(list)
    local reader = {
      manager = function() return manager end,
      count = function(name)
        local def = ctx.conn:schema().tables[name]
        return def and rows_of.count(ctx.conn, name) or nil
      end,
      count_of = function(kind, type_name) return rows_of.count(ctx.conn, kind, kind .. "_type", type_name) end,
    }
    local plans = {}
    for i, step in ipairs(list) do
      plans[i] = plan.of(reader, step.entry, step.direction, { backend = backend, log = ctx.log, ctx = backend == "server" and ctx or nil })
    end
    return plans
  end

  return place
end
