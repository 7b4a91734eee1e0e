-- init.lua: migrations: of a universe that is open (the plugin's object), and of one before it is opened (`offline`, which iu.migrations calls).

local iu = require "inner_universe"

local plugin = ...
local history = plugin.load "history"
local make_runner = plugin.load "runner"
local make_methods = plugin.load "methods"
local place_open = plugin.load "place_open"
local offline = plugin.load "offline"

local M = {}

local ON_PENDING = { refuse = true, warn = true, ignore = true }
local RANGES = {
  batch_size = { 1, 50000 }, files_max = { 1, 1000000 }, file_bytes_max = { 1024, 1 << 30 }, error_bytes_max = { 64, 60000 }, lock_timeout = { 0, 1e6 },
  lease = { 1, 1e6 },
}

function M.validate(config)
  for name, range in pairs(RANGES) do
    local value = config[name]
    if not (value >= range[1] and value <= range[2]) then
      return nil, ("%s: %s to %s expected, got %s"):format(name, range[1], range[2], tostring(value))
    end
  end
  if not ON_PENDING[config.on_pending] then
    return nil, ("on_pending: one of ignore, refuse, warn expected, got '%s'"):format(config.on_pending)
  end
  if config.folder == "" then return nil, "folder: expected a path" end
  return true
end

local function backend_of(ctx)
  if ctx.settings.backend == "spacetimedb" then return "server" end
  return ctx.settings.db_path == "memory:" and "memory" or "file"
end

-- What opening says of migrations that are pending: nil where all is well.
local function complaint(status)
  if #status.problems > 0 then return iu.errors.new("MigrationError", status.problems[1].message, { details = { problems = status.problems } }) end
  if status.pending == 0 then return nil end
  local names = {}
  for _, each in ipairs(status.migrations) do
    if not each.applied_at and #names < 3 then names[#names + 1] = each.name end
  end
  local what = ("%s: %d migration%s pending in %s (%s%s)"):format(status.target, status.pending, status.pending == 1 and " is" or "s are", status.folder,
    table.concat(names, ", "), status.pending > #names and ", ..." or "")
  return iu.errors.new("MigrationError", what .. ": run `iu migrate up`, or iu.migrations(target, options):up()",
    { code = "PENDING", details = { pending = status.pending } })
end

function M.start(ctx)
  local manager = ctx.plugin("persistence_manager")
  local backend = backend_of(ctx)
  local place = place_open(ctx, manager, backend)
  local runner = make_runner {
    config = ctx.config, folders = ctx.folders, check = ctx.check, clock = ctx.clock, can_wait = ctx.can_wait, log = ctx.log, place = place,
    target = ctx.universe.target, backend = backend,
  }
  local stopped = false
  local function closed() return (stopped or ctx.is_closed()) and "migrations is closed" or nil end
  local methods, arguments = make_methods(ctx.check, runner, closed)
  arguments.run_one = { { "migration", "table" }, { "direction", "string" }, { "how", "table" } }

  if ctx.config.on_pending ~= "ignore" then
    local status, err = runner:status()
    if not status and err.retryable and ctx.conn:state().phase ~= "connected" then return nil, err end -- the server is away: started when it is there
    if status then err = complaint(status) end
    if err and ctx.config.on_pending == "refuse" then return nil, err, "fatal" end
    if err then ctx.log.warn("%s", err.message) end
  end

  --- Runs a migration that was loaded already, whatever the folder says; for iu.migrations, which has opened this universe for it.
  function methods:run_one(migration, direction, how)
    ctx.check.arguments(arguments.run_one, "run_one", migration, direction, how)
    return place.session(how, function(session)
      local rows, err = session.rows()
      if not rows then return nil, err end
      local present
      for _, row in ipairs(rows) do
        if row.version == migration.version then present = row end
      end
      if history.is_applied(present) == (direction == "up") and not (direction == "down" and history.is_halfway(present)) then return { skipped = true } end
      return session.run(migration, direction, how, present)
    end)
  end

  function methods:stop() stopped = true end

  -- What is pending is nobody's business where the configuration ignores it; a folder that does not fit always is.
  function methods:health()
    if closed() then return nil, closed() end
    local status, failure = runner:status()
    if not status then return nil, failure.message end
    local err = complaint(status)
    if err and (err.code ~= "PENDING" or ctx.config.on_pending ~= "ignore") then return nil, err.message end
    return true, { folder = ctx.config.folder, applied = status.applied, pending = status.pending, current = status.current }
  end

  return ctx.hooks.class("migrations", methods, { arguments = arguments }).new {}
end

---The same methods for a universe that is not open: each opens what it needs, and closes it. tool: what iu.migrations gives.
---@param tool table
---@return table
function M.offline(tool) return offline(tool, make_runner, make_methods) end

return M
