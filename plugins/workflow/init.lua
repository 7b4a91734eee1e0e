-- init.lua: durable workflows: what users call, and how the parts are put together.
--
-- records.lua says what is stored, holding.lua how it is written, replay.lua what a workflow's function is given, runner.lua how a run goes to its end,
-- scheduler.lua when.

local iu = require "inner_universe"

local plugin = ...
local definitions = plugin.load "definitions"

local M = {}

local CLOSED = "workflow is closed"
local ARGUMENTS = { -- of methods: of each argument its name, its type, "?" where nil is fine
  define = { { "name", "string" }, { "options", "table" } },
  start = { { "name", "string" }, { "input", "any", "?" }, { "options", "table", "?" } },
  get = { { "id", "string" } },
  list = { { "options", "table", "?" } },
  wait = { { "id", "string" }, { "timeout", "number", "?" } },
  cancel = { { "id", "string" } },
  signal = { { "id", "string" }, { "name", "string" } },
  resume = { { "id", "string", "?" } },
}
-- The parts, each with those that it uses.
local function assemble(ctx)
  local env = {
    ctx = ctx, config = ctx.config, manager = ctx.plugin("persistence_manager"), holder = iu.uuid(),
    shared = ctx.settings.backend == "spacetimedb", -- with other processes
  }
  local heard = {}
  env.crowded = function() return env.scheduler.crowded() end
  env.book = definitions.new(ctx.check)
  env.board = plugin.load "board"(ctx, heard)
  env.holding = plugin.load "holding"(env)
  env.pausing = plugin.load "pausing"(env)
  env.attempts = plugin.load "attempts"(env)
  env.replay = plugin.load "replay"(env)
  env.runner = plugin.load "runner"(env)
  env.scheduler = plugin.load "scheduler"(env)
  env.catalog = plugin.load "catalog"(env)
  env.retention = plugin.load "retention"(env)
  env.actions = plugin.load "actions"(env)

  function heard.run(uid)
    local row = env.board.run(uid)
    if row.state.status == "stuck" and not env.holding.get(uid) then env.catalog.wake(uid) end
    env.scheduler.look(uid)
  end

  function heard.signal(uid)
    local run = env.holding.get(uid)
    if run then env.pausing.nudge(run) else env.scheduler.look(uid) end
  end

  function heard.ended(uid)
    env.scheduler.forgive(uid)
    if not env.holding.get(uid) then env.catalog.wake(uid) end
    env.retention.note()
  end

  return env
end

function M.start(ctx)
  local check = ctx.check
  local env = assemble(ctx)
  local methods = {}
  local stopped = false

  env.is_stopped = function() return stopped or ctx.is_closed() end

  local ok, err = env.board.open()
  if not ok then return nil, err end
  ctx.spawn(function()
    env.board.ready()
    env.scheduler.run()
  end)
  ctx.spawn(env.retention.look)

  --- Makes a workflow known here, and takes up its runs. options: run = fn(wf, input); version [1], of which new runs get the highest, and each run keeps
  --- its own; retry and timeout of its steps where they have none; compensation, the retry of compensations.
  ---@param name string
  ---@param options { run: fun(wf: inner_universe.Workflow, input: any): any, version?: integer, retry?: table, timeout?: number, compensation?: table }
  ---@return true? ok
  ---@return inner_universe.Error? err
  function methods:define(name, options)
    if env.is_stopped() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.define, "define", name, options)
    local definition, why = env.book.define(name, options)
    if not definition then return nil, why end
    env.scheduler.look_at_all()
    return true
  end

  --- Starts a run, in the background. With an id it is the only run of that id: started again with the same workflow and input it is what it is.
  ---@param name string
  ---@param input? any JSON
  ---@param options? { id?: string }
  ---@return string? id
  ---@return inner_universe.Error? err ConflictError: the id is that of another run; OverloadedError
  function methods:start(name, input, options)
    if env.is_stopped() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.start, "start", name, input, options)
    local fine, why = check.options("start", options, { id = "string" })
    if fine then fine, why = env.board.ready() end
    if not fine then return nil, why end
    return env.actions.start(name, input, options and options.id or iu.uuid())
  end

  --- { id, uid, name, version, status, input, output, error, created_at, started_at, finished_at, steps, taken, holder, wake_at, waiting_for, compensated,
  --- failures }; a step is { number, kind, name, nth, state, attempts, at, result, error, compensation }.
  ---@param id string
  ---@return table? run
  ---@return inner_universe.Error? err EntityNotFoundError
  function methods:get(id)
    if env.is_stopped() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.get, "get", id)
    return env.catalog.get(id)
  end

  --- Runs as `get` gives them, without input and steps, the youngest first.
  ---@param options? { status?: string, name?: string, limit?: integer }
  ---@return table[]? runs
  ---@return inner_universe.Error? err
  function methods:list(options)
    if env.is_stopped() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.list, "list", options)
    return env.catalog.list(options or {})
  end

  --- Waits until a run has ended: its output (true where it has none), or nil and the error that it failed with; the error of one that is stuck, too.
  ---@param id string
  ---@param timeout? number seconds
  ---@return any output
  ---@return inner_universe.Error? err
  function methods:wait(id, timeout)
    if env.is_stopped() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.wait, "wait", id, timeout)
    local good, why = check.seconds("wait", "timeout", timeout)
    if not good then return nil, why end
    return env.catalog.wait(id, timeout)
  end

  --- Asks for the end of a run: a wait of it ends at once, a step at hand is let finish; then what has finished is compensated. true when it is asked for.
  ---@param id string
  ---@return true? ok
  ---@return inner_universe.Error? err ConflictError: it has ended
  function methods:cancel(id)
    if env.is_stopped() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.cancel, "cancel", id)
    return env.actions.cancel(id)
  end

  --- Sends a signal, which is kept until the run takes it with wf:wait_signal.
  ---@param id string
  ---@param name string
  ---@param payload? any JSON
  ---@return true? ok
  ---@return inner_universe.Error? err ConflictError: it has ended; OverloadedError
  function methods:signal(id, name, payload)
    if env.is_stopped() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.signal, "signal", id, name)
    return env.actions.signal(id, name, payload)
  end

  --- With an id: a stuck run tries again (its code was mended), another one at once. Without: all runs are looked at, as define does by itself; how many this
  --- process works at, or will.
  ---@param id? string
  ---@return true|integer|nil result
  ---@return inner_universe.Error? err
  function methods:resume(id)
    if env.is_stopped() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.resume, "resume", id)
    if id then return env.actions.resume(id) end
    local fine, why = env.board.ready()
    if not fine then return nil, why end
    env.scheduler.look_at_all()
    return env.scheduler.count()
  end

  --- Removes ended runs that are over keep_runs and keep_days; it is done from time to time anyway. How many.
  ---@return integer? count
  ---@return inner_universe.Error? err
  function methods:prune()
    if env.is_stopped() then check.raise(CLOSED) end
    return env.retention.prune()
  end

  function methods:stop()
    if stopped then return end
    stopped = true
    env.scheduler.stop()
    env.retention.stop()
    env.runner.stop()
    env.board.close()
    env.catalog.stop()
  end

  function methods:health()
    local facts = {
      live = env.board.count, working = env.scheduler.working, stuck = 0, waiting = 0, undefined = 0, lost = env.holding.lost,
      pruned = env.retention.pruned, damaged = env.board.damaged,
    }
    for _, run in env.board.each() do
      local state = run.state
      if state.status == "stuck" then facts.stuck = facts.stuck + 1 end
      if state.status == "waiting" then facts.waiting = facts.waiting + 1 end
      if not env.book.find(state.name, state.version) then facts.undefined = facts.undefined + 1 end
    end
    return true, facts
  end

  return ctx.hooks.class("workflow", methods, { arguments = ARGUMENTS }).new {}
end

return M
