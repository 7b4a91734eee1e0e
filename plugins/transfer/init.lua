-- init.lua: copies of universes: what users call. How rows travel is in copying.lua, how two sides are compared in comparing.lua.

local iu = require "inner_universe"

local plugin = ...
local tables = plugin.load "tables"
local conflicts = plugin.load "conflicts"
local ends = plugin.load "ends"
local copying = plugin.load "copying"
local comparing = plugin.load "comparing"
local exporting = plugin.load "exporting"
local importing = plugin.load "importing"
local times = plugin.load "times"

---@class inner_universe.VerifyOptions
---@field tables? string[]
---@field except? string[]
---@field from_options? inner_universe.ConnectOptions
---@field to_options? inner_universe.ConnectOptions
---@field progress? fun(info: { table: string, rows: integer, total: integer?, seconds: number?, rate: number?, left: number? })

---@class inner_universe.CopyOptions: inner_universe.VerifyOptions
---@field mode? "new"|"merge"|"overwrite"
---@field since? integer|string
---@field conflicts? "refuse"|"keep"|"replace"
---@field delete? boolean
---@field verify? boolean
---@field dry_run? boolean
---@field restart? boolean

---@class inner_universe.ExportOptions
---@field tables? string[]
---@field except? string[]
---@field since? integer|string
---@field from_options? inner_universe.ConnectOptions
---@field progress? fun(info: table)

---@class inner_universe.ImportOptions
---@field mode? "new"|"merge"|"overwrite"
---@field conflicts? "refuse"|"keep"|"replace"
---@field verify? boolean
---@field dry_run? boolean
---@field restart? boolean
---@field to_options? inner_universe.ConnectOptions
---@field progress? fun(info: table)

---@class inner_universe.CopyReport
---@field from string
---@field to string
---@field rows integer
---@field bytes? integer
---@field seconds? number
---@field resumed? boolean
---@field left_out? string[]
---@field events? string[] event tables, whose rows nobody holds
---@field whole? string[] with since: tables whose rows do not say when they changed
---@field unfinished? table the source is the target of a copy or import that has not ended: what that is of
---@field skipped? integer rows that were left out, since others were in their way
---@field replaced? integer rows of the target that were in the way, and gave it
---@field tables table<string, { rows: integer, written: integer?, removed: integer?, hash: string?, skipped: table?, replaced: table? }>
---@field verified? inner_universe.VerifyReport

---@class inner_universe.VerifyReport
---@field equal boolean
---@field words? string
---@field tables table<string, { rows: integer, hash: string, other_rows: integer, other_hash: string, equal: boolean, differences: table? }>

local M = {}

local ARGUMENTS = { -- of methods: of each argument its name, its type, "?" where nil is fine
  copy = { { "from", "any" }, { "to", "any" }, { "options", "table", "?" } },
  verify = { { "a", "any" }, { "b", "any" }, { "options", "table", "?" } },
  export = { { "from", "any" }, { "path", "string|file" }, { "options", "table", "?" } },
  import = { { "path", "string" }, { "to", "any" }, { "options", "table", "?" } },
}
local MODES = { new = true, merge = true, overwrite = true }
local COMMON = { tables = "table", except = "table", from_options = "table", to_options = "table", progress = "callable" }
local COPY = { since = "any", mode = "string", conflicts = "string", delete = "boolean", restart = "boolean", verify = "boolean", dry_run = "boolean" }

local function joined(...)
  local all = {}
  for _, list in ipairs { ... } do
    for name, expected in pairs(list) do all[name] = expected end
  end
  return all
end
local COPY_OPTIONS, VERIFY_OPTIONS = joined(COMMON, COPY), COMMON
local EXPORT_OPTIONS = { tables = "table", except = "table", from_options = "table", progress = "callable", since = "any" }
local IMPORT_OPTIONS = { to_options = "table", progress = "callable", mode = "string", conflicts = "string", restart = "boolean", verify = "boolean",
  dry_run = "boolean" }

local function invalid(message, ...)
  return nil, iu.errors.new("ValidationError", message:format(...))
end

function M.start(ctx)
  local check = ctx.check
  local methods = {}
  local stopped, running, done, failed = false, 0, 0, 0

  local env = { ctx = ctx }
  function env.has(names, name)
    for _, each in ipairs(names) do
      if each == name then return true end
    end
    return false
  end

  local function checked(method, options, known)
    local ok, err = check.options(method, options, known)
    if not ok then return nil, err end
    local copy = joined(options or {})
    copy.mode = copy.mode or "new"
    if not MODES[copy.mode] then return invalid("%s: mode: \"new\", \"merge\" or \"overwrite\" expected, got '%s'", method, copy.mode) end
    copy.conflicts = copy.conflicts or "refuse"
    local goes_with = conflicts.WAYS[copy.conflicts]
    if not goes_with then return invalid("%s: conflicts: \"refuse\", \"keep\" or \"replace\" expected, got '%s'", method, copy.conflicts) end
    if goes_with ~= "any" and goes_with ~= copy.mode then return invalid('%s: conflicts: "%s" only with mode = "%s"', method, copy.conflicts, goes_with) end
    if copy.delete and copy.mode ~= "overwrite" then return invalid('%s: delete: only with mode = "overwrite"', method) end
    if copy.delete and copy.since then return invalid("%s: delete: not with since, which leaves rows out", method) end
    if copy.since ~= nil then
      copy.since, err = times.read(copy.since)
      if not copy.since then return invalid("%s: since: %s", method, err) end
    end
    return copy
  end

  -- Counts a call; what ends it in any other way than by `finish` (a task that is cancelled) counts as failed.
  local function begun()
    running = running + 1
    local finished = false
    local self = {}
    function self.finish(good)
      if finished then return end
      finished, running = true, running - 1
      if good then done = done + 1 else failed = failed + 1 end
    end
    return setmetatable(self, { __close = function() self.finish(false) end })
  end

  -- fn(...) with ends that are closed whatever comes, the task's cancellation included. What fn answers, or nil, err.
  local function with(sides, fn)
    local call <close> = begun()
    local answers = table.pack(pcall(fn, table.unpack(sides)))
    local closed, why = true, nil
    for _, side in ipairs(sides) do
      local ok, err = side.close(answers[1] and answers[2] ~= nil)
      if not ok then closed, why = nil, why or err end
    end
    local good = answers[1] and answers[2] ~= nil and closed
    call.finish(good)
    if not answers[1] then return nil, iu.errors.from(answers[2]) end
    if answers[2] ~= nil and not closed then return nil, why end
    return answers[2], answers[3]
  end

  local function with_ends(from, to, options, fn)
    if rawequal(from, to) then return invalid("to: the universe that `from` is") end
    local a, err = ends.open(from, options.from_options, "source")
    if not a then return nil, err end
    local first <close> = a
    local b
    b, err = ends.open(to, options.to_options, options.reads_both and "source" or "target", a.modules, options.dry_run)
    if not b then return nil, err end
    local second <close> = b
    if rawequal(first.conn, second.conn) then return invalid("to: the universe that `from` is") end
    local answer, why = with({ first, second }, fn)
    return answer, why
  end

  -- The tables, and the counters of them.
  function env.with_heads(names)
    local held = joined(names)
    held[#held + 1] = "event_head"
    return held
  end

  -- What says where the log ends, if that is among them.
  function env.log_of(names)
    return env.has(names, "event_log") and { "event_head", "event_log" } or { "event_head" }
  end

  -- Are conflicts looked for before anything is written?
  function env.looks_ahead(options)
    return options.conflicts == "refuse" or options.dry_run == true
  end

  -- What a target has to hold while it is looked at for what stands against the rows to come.
  function env.looked_at(to, names, options)
    if options.mode == "merge" and env.looks_ahead(options) then return env.with_heads(names) end
    local held = env.log_of(names)
    for _, name in ipairs(names) do
      if tables.has_unique(to.schema, name) then held[#held + 1] = name end
    end
    return held
  end

  local function verify_copy(a, b, names, view, report, settings)
    local ok, err = b.hold(env.with_heads(names))
    if not ok then return nil, err end
    local compared
    compared, err = comparing.arrived(a, b, names, report.tables, {
      named_keys = ctx.config.named_keys, others = settings.since ~= nil or settings.mode ~= "new" and not settings.delete,
      kept = settings.conflicts == "keep", since = settings.since, proof = view.proof })
    if not compared then return nil, err end
    report.verified = compared
    if compared.equal then return report end
    return nil, iu.errors.new("StorageError", ("%s and %s differ after the copy: %s"):format(a.text, b.text, comparing.words(compared, names)),
      { details = compared })
  end

  --- Copies the rows of `from` to `to`, as they are: ids, times, owners. The ends: files, addresses, connections or managers.
  ---@param from any
  ---@param to any
  ---@param options? inner_universe.CopyOptions
  ---@return inner_universe.CopyReport? report
  ---@return inner_universe.Error? err
  function methods:copy(from, to, options)
    if stopped then check.raise("transfer is stopped") end
    check.arguments(ARGUMENTS.copy, "copy", from, to, options)
    local settings, err = checked("copy", options, COPY_OPTIONS)
    if not settings then return nil, err end
    return with_ends(from, to, settings, function(a, b)
      local report, names, view = copying.run(env, a, b, settings)
      if not report then return nil, names end
      if not settings.verify or settings.dry_run then return report end
      return verify_copy(a, b, names, view, report, settings)
    end)
  end

  --- Compares two universes: rows and hashes per table, keys of what differs. `equal` says it.
  ---@param a any
  ---@param b any
  ---@param options? inner_universe.VerifyOptions
  ---@return inner_universe.VerifyReport? report
  ---@return inner_universe.Error? err
  function methods:verify(a, b, options)
    if stopped then check.raise("transfer is stopped") end
    check.arguments(ARGUMENTS.verify, "verify", a, b, options)
    local settings, err = checked("verify", options, VERIFY_OPTIONS)
    if not settings then return nil, err end
    settings.reads_both = true
    return with_ends(a, b, settings, function(left, right)
      local names, why = tables.choose(left.schema, settings)
      if not names then return nil, why end
      local left_out
      names, left_out = tables.readable(left, names, settings.tables)
      if not right.conn:is_owner() then names, left_out = tables.readable(right, names, settings.tables) end
      local ok
      ok, why = ends.check_same(tables, names, left, right)
      if ok then ok, why = left.hold(env.with_heads(names)) end
      if ok then ok, why = right.hold(env.with_heads(names)) end
      if not ok then return nil, why end
      local report
      report, why = comparing.run(left, right, names, {
        named_keys = ctx.config.named_keys, on_rows = settings.progress and function(name, n) settings.progress { table = name, rows = n } end })
      if not report then return nil, why end
      report.words, report.left_out, report.events = comparing.words(report, names), left_out, tables.events(left.schema, settings)
      return report
    end)
  end

  local function with_end(what, options, role, dry, fn)
    local side, err = ends.open(what, options, role, nil, dry)
    if not side then return nil, err end
    local only <close> = side
    local answer, why = with({ only }, fn)
    return answer, why
  end

  --- Writes the rows of `from` as JSON lines; gzip when the name ends in .gz. The file is there when it is whole and on disk. A file that is open already
  --- (io.stdout) gets them as they come.
  ---@param from any
  ---@param path string|file*
  ---@param options? inner_universe.ExportOptions
  ---@return inner_universe.CopyReport? report
  ---@return inner_universe.Error? err
  function methods:export(from, path, options)
    if stopped then check.raise("transfer is stopped") end
    check.arguments(ARGUMENTS.export, "export", from, path, options)
    local settings, err = checked("export", options, EXPORT_OPTIONS)
    if not settings then return nil, err end
    return with_end(from, settings.from_options, "source", false, function(side) return exporting.export(env, side, path, settings) end)
  end

  --- Brings the rows of an export into `to`. A cut or changed file is refused, with the line, before anything is written.
  ---@param path string
  ---@param to any
  ---@param options? inner_universe.ImportOptions
  ---@return inner_universe.CopyReport? report
  ---@return inner_universe.Error? err
  function methods:import(path, to, options)
    if stopped then check.raise("transfer is stopped") end
    check.arguments(ARGUMENTS.import, "import", path, to, options)
    local settings, err = checked("import", options, IMPORT_OPTIONS)
    if not settings then return nil, err end
    return with_end(to, settings.to_options, "target", settings.dry_run, function(side) return importing.import(env, path, side, settings) end)
  end

  function methods:stop() stopped = true end

  function methods:health() return true, { running = running, done = done, failed = failed } end

  return ctx.hooks.class("transfer", methods, { arguments = ARGUMENTS, tostring = function() return "transfer" end }).new {}
end

return M
