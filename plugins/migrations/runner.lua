-- runner.lua: which migrations are to be run, in what order, and whether the folder fits what was applied. Where they run is a place (place_open.lua,
-- place_file.lua): `rows()`, the history; `lock_holder()`, `session(how, fn)`, `plan(list)`.
--
-- A session: `rows()` (the history as it is under the lock; nil: as the place gave it), `run(migration, direction, how, row, last)`,
-- `rehearse(list of { entry, direction }, how)`, `record(list of fields)`.

local iu = require "inner_universe"

local plugin = ...
local history = plugin.load "history"
local make_files = plugin.load "files"

local NOTHING = {}

---@param env { config: table, folders: table, check: table, clock: function, can_wait: function, log: table, place: table, target: string, backend: string }
return function(env)
  local check, place = env.check, env.place
  local files = make_files { folders = env.folders, config = env.config }
  local runner = {}

  local function failed(code, format, ...)
    return nil, iu.errors.new("MigrationError", format:format(...), { code = code })
  end

  -- ---- the folder and the history ----

  -- Entries of the folder, loaded where they can be: others have `err`.
  local function entries_of()
    local list, err = files.list()
    if not list then return nil, err end
    for i, entry in ipairs(list) do
      local loaded, why = files.load(entry)
      if loaded then list[i] = loaded else entry.err = why end
    end
    return list
  end

  local function survey_of(rows)
    local entries, err = entries_of()
    if not entries then return nil, err end
    local survey = { entries = entries, rows = rows, by_number = {}, row_of = {} }
    for _, row in ipairs(rows) do survey.row_of[row.number] = row end
    for _, entry in ipairs(entries) do
      survey.by_number[entry.number] = entry
      local row = survey.row_of[entry.number]
      if row then entry.version = row.version end -- files that got more digits are what they were
    end
    survey.problems = history.problems(entries, rows)
    return survey
  end

  local function survey_now()
    local rows, err = place.rows()
    if not rows then return nil, err end
    return survey_of(rows)
  end

  -- The problems of these kinds; nil where there are none.
  local function problems_of(survey, kinds, allowed)
    local list = {}
    for _, each in ipairs(survey.problems) do
      if kinds[each.kind] and not (allowed and allowed(each)) then list[#list + 1] = each end
    end
    return #list > 0 and history.error_of(list) or nil
  end

  -- The number that `to` means: of an entry or a row; 0 is before all of them.
  local function number_of(survey, to)
    local number = math.tointeger(tonumber(to))
    if number and (number == 0 or survey.by_number[number] or survey.row_of[number]) then return number end
    return nil, iu.errors.new("ValidationError", ("to: the number of a migration in %s expected, got '%s'"):format(env.config.folder, tostring(to)))
  end

  local function pending_of(survey, to)
    local list = {}
    for _, entry in ipairs(survey.entries) do
      if (not to or entry.number <= to) and not history.is_applied(survey.row_of[entry.number]) then list[#list + 1] = entry end
    end
    return list
  end

  local function how_of(options)
    return {
      stop = options.stop, progress = options.progress, dry_run = options.dry_run == true, batch_size = env.config.batch_size, clock = env.clock,
      can_wait = env.can_wait, lock_timeout = options.lock_timeout or env.config.lock_timeout,
    }
  end

  local RUN_OPTIONS = { to = "any", dry_run = "boolean", progress = "function", stop = "function", lock_timeout = "number" }
  local UP_OPTIONS = { allow_out_of_order = "boolean", create = "boolean" }
  for name, expected in pairs(RUN_OPTIONS) do UP_OPTIONS[name] = expected end

  local checked = check.options -- types of the arguments themselves are methods.lua's

  -- Runs a list in a session, one after the other; the report, or the failure of the first that fails, with what went before it.
  local function run_list(survey, session, list, how)
    local report = { dry_run = how.dry_run, done = iu.array {} }
    local function done(step, result)
      report.done[#report.done + 1] = {
        version = step.entry.version, name = step.entry.name, direction = step.direction, rows = result.rows, steps = result.steps,
        duration_ms = result.duration_ms, resumed = result.resumed,
      }
    end
    if how.dry_run then
      for _, step in ipairs(list) do
        if history.is_halfway(survey.row_of[step.entry.number]) then
          return failed("HALFWAY", "%s is half way %s: a dry run would begin it anew", step.entry.name, step.direction)
        end
      end
      local results, err = session.rehearse(list, how, survey.row_of)
      if not results then return nil, err end
      for i, result in ipairs(results) do done(list[i], result) end
      return report
    end
    for _, step in ipairs(list) do
      if how.stop and how.stop() then
        return nil, iu.errors.new("MigrationError", "stopped before " .. step.entry.name,
          { code = "STOPPED", retryable = true, details = { done = report.done } })
      end
      local result, err = session.run(step.entry, step.direction, how, step.row or survey.row_of[step.entry.number], step.last)
      if not result then
        err.details = err.details or {}
        err.details.done = report.done
        return nil, err
      end
      if not result.skipped then
        done(step, result)
        env.log.info("%s: %s in %.0f ms, %d rows", step.entry.name, step.direction, result.duration_ms, result.rows)
      end
      survey.row_of[step.entry.number] = nil -- what it was is over
    end
    return report
  end

  -- Chooses under the lock what to do, and does it.
  local function in_session(how, choose)
    local survey, err = survey_now()
    if not survey then return nil, err end
    local list
    list, err = choose(survey)
    if not list then return nil, err end
    if #list == 0 then return { dry_run = how.dry_run, done = iu.array {} } end
    return place.session(how, function(session)
      local rows, why = session.rows()
      if why then return nil, why end
      if rows then
        survey, err = survey_of(rows)
        if not survey then return nil, err end
        list, err = choose(survey)
        if not list then return nil, err end
      end
      return run_list(survey, session, list, how)
    end)
  end

  -- ---- what to do ----

  -- What is in the middle goes its way to the end, as what it was when it began.
  local function halfway(survey, direction)
    for _, row in ipairs(survey.rows) do
      if history.is_halfway(row) then
        local entry, way = survey.by_number[row.number], row.checkpoint.direction
        if not entry then
          return failed("HALFWAY", "%s is half way %s, and its file is not in the folder any more: bring it back, or `baseline` forgets it", row.name, way)
        end
        if entry.online == false then
          return failed("HALFWAY", "%s: it is half way %s, and was online when it began: it has to be that until it is through", entry.path, way)
        end
        if way ~= direction then return failed("HALFWAY", "%s is half way %s: `iu migrate %s` ends that first", row.name, way, way) end
      end
    end
    return true
  end

  local UP_PROBLEMS = { changed = true, missing = true, out_of_order = true, unreadable = true }

  local function choose_up(options)
    return function(survey)
      local to, err
      if options.to ~= nil then
        to, err = number_of(survey, options.to)
        if not to then return nil, err end
      end
      local ok
      ok, err = halfway(survey, "up")
      if not ok then return nil, err end
      err = problems_of(survey, UP_PROBLEMS, function(problem)
        local number = math.tointeger(tonumber(problem.version))
        if problem.kind == "out_of_order" then return options.allow_out_of_order or (to and number > to) end
        return problem.kind == "unreadable" and (history.is_applied(survey.row_of[number]) or (to and number > to))
      end)
      if err then return nil, err end
      local list = {}
      local all = #pending_of(survey)
      for i, entry in ipairs(pending_of(survey, to)) do list[i] = { entry = entry, direction = "up", last = i == all } end
      return list
    end
  end

  -- What can be taken back: the file is there, fits, and has a way back.
  local function way_back(survey, number, changed_too)
    local row, entry = survey.row_of[number], survey.by_number[number]
    if not entry then
      return failed("MISSING", "%s.lua is not in the folder any more, and says how it is taken back: bring the file back, or `baseline` forgets it", row.name)
    end
    if entry.err then return nil, entry.err end
    if not changed_too and row.checksum ~= "" and row.checksum ~= entry.checksum then
      return nil, history.error_of { { kind = "changed", version = row.version, file = entry.path,
        message = ("%s: it was changed after it had been applied: undo that, `redo` it, or `baseline` takes it as it is"):format(entry.path) } }
    end
    if not entry.down then
      return failed("NO_DOWN", "%s has no function `down`, so it cannot be taken back", entry.path)
    end
    return { entry = entry, direction = "down" }
  end

  -- Those to take back, the last first: applied ones above a number, and one that is half way down.
  local function backwards(survey, above, changed_too)
    local list = {}
    for i = #survey.rows, 1, -1 do
      local row = survey.rows[i]
      if row.number > above and (history.is_applied(row) or (history.is_halfway(row) and row.checkpoint.direction == "down")) then
        local step, err = way_back(survey, row.number, changed_too)
        if not step then return nil, err end
        list[#list + 1] = step
      end
    end
    return list
  end

  local function last_applied(survey)
    for i = #survey.rows, 1, -1 do
      local row = survey.rows[i]
      if history.is_applied(row) or (history.is_halfway(row) and row.checkpoint.direction == "down") then return row, i end
    end
  end

  local function choose_down(options)
    return function(survey)
      local ok, err = halfway(survey, "down")
      if not ok then return nil, err end
      if options.to ~= nil then
        local to
        to, err = number_of(survey, options.to)
        if not to then return nil, err end
        return backwards(survey, to == 0 and -1 or to) -- 0: all, a 0000 too
      end
      local last = last_applied(survey)
      if not last then return {} end
      return backwards(survey, last.number - 1)
    end
  end

  local function choose_redo(options)
    return function(survey)
      local ok, halfway_err = halfway(survey, "redo")
      if not ok then return nil, halfway_err end
      local last = last_applied(survey)
      local number = last and last.number
      if options.to ~= nil then
        local why
        number, why = number_of(survey, options.to)
        if not number then return nil, why end
      end
      if not number then return {} end
      local list, err = backwards(survey, number - 1, true)
      if not list then return nil, err end
      for i = #list, 1, -1 do list[#list + 1] = { entry = list[i].entry, direction = "up", row = NOTHING } end
      return list
    end
  end

  -- ---- methods ----

  --- Writes the next file from a template; its path.
  ---@param name string
  ---@param options? { description?: string, online?: boolean }
  ---@return string? path
  ---@return inner_universe.Error? err
  function runner:new(name, options)
    local ok, err = check.options("new", options, { description = "string", online = "boolean" })
    if not ok then return nil, err end
    return files.new(name, options or {})
  end

  local function state_of(entry, row, problem)
    if problem then return problem.kind end
    if not row then return "pending" end
    if history.is_applied(row) then return row.status end
    return row.status == "reverted" and "pending" or entry and row.status or "pending"
  end

  --- What is applied and what is pending: { target, backend, folder, current, applied, pending, migrations, problems, lock, up_to_date }.
  ---@return table? status
  ---@return inner_universe.Error? err
  function runner:status()
    local survey, err = survey_now()
    if not survey then return nil, err end
    local problem_of = {}
    for _, each in ipairs(survey.problems) do problem_of[math.tointeger(tonumber(each.version))] = each end
    local status = {
      target = env.target, backend = env.backend, folder = env.config.folder, applied = 0, pending = 0, migrations = iu.array {},
      problems = iu.array(survey.problems),
    }
    local numbers, seen = {}, {}
    for _, list in ipairs { survey.entries, survey.rows } do
      for _, each in ipairs(list) do
        if not seen[each.number] and (list == survey.entries or history.is_applied(each)) then numbers[#numbers + 1] = each.number end
        seen[each.number] = true
      end
    end
    table.sort(numbers)
    for _, number in ipairs(numbers) do
      local entry, row, problem = survey.by_number[number], survey.row_of[number], problem_of[number]
      local shown = row and row.status ~= "reverted" and row or {}
      local applied = history.is_applied(row)
      status[applied and "applied" or "pending"] = status[applied and "applied" or "pending"] + 1
      if applied then status.current = row.version end
      local at = shown.checkpoint and shown.checkpoint.at
      status.migrations[#status.migrations + 1] = {
        version = entry and entry.version or row.version, name = entry and entry.name or row.name, file = entry and entry.path,
        description = entry and entry.description, online = entry and entry.online, state = state_of(entry, row, problem),
        applied_at = applied and row.applied_at or nil, failed_at = not applied and shown.applied_at or nil,
        duration_ms = shown.duration_ms, applied_by = shown.applied_by, step = shown.step,
        direction = shown.checkpoint and shown.checkpoint.direction, done = at and at.done, total = at and at.total, error = shown.error,
        problem = problem and problem.message,
      }
    end
    status.up_to_date = status.pending == 0 and #survey.problems == 0
    status.lock, err = place.lock_holder()
    if err then return nil, err end
    return status
  end

  --- What `up` (or `down`, options.direction) would do, step by step; nothing is executed.
  ---@param options? { to?: string|integer, direction?: "up"|"down", allow_out_of_order?: boolean }
  ---@return table? plan { migrations = { { version, name, direction, description, online, steps } } }
  ---@return inner_universe.Error? err
  function runner:plan(options)
    local ok, err = checked("plan", options, { to = "any", direction = "string", allow_out_of_order = "boolean" })
    if not ok then return nil, err end
    options = options or {}
    local direction = options.direction or "up"
    if direction ~= "up" and direction ~= "down" then
      return nil, iu.errors.new("ValidationError", ("plan: direction: up or down expected, got '%s'"):format(direction))
    end
    local survey
    survey, err = survey_now()
    if not survey then return nil, err end
    local list
    list, err = (direction == "up" and choose_up or choose_down)(options)(survey)
    if not list then return nil, err end
    if #list == 0 then return { migrations = iu.array {} } end
    local plans
    plans, err = place.plan(list)
    if not plans then return nil, err end
    return { migrations = iu.array(plans) }
  end

  --- Applies what is pending, in order: { done = { { version, name, direction, rows, steps, duration_ms } }, dry_run }. The first failure ends it; what was
  --- done before stays, and err.details.done tells it. progress(event): { version, name, direction, step, label, done, total }; stop(): true ends the run at
  --- its next checkpoint (code STOPPED). create: a file that is not there is made, empty, first.
  ---@param options? inner_universe.MigrationOptions
  ---@return table? report
  ---@return inner_universe.Error? err
  function runner:up(options)
    local ok, err = checked("up", options, UP_OPTIONS)
    if not ok then return nil, err end
    options = options or {}
    if options.create and place.create then
      ok, err = place.create(options.dry_run)
      if not ok then return nil, err end
    end
    return in_session(how_of(options), choose_up(options))
  end

  --- Takes back the last one that was applied; with `to` all behind that one (0: all).
  ---@param options? table as up's
  ---@return table? report
  ---@return inner_universe.Error? err
  function runner:down(options)
    local ok, err = checked("down", options, RUN_OPTIONS)
    if not ok then return nil, err end
    options = options or {}
    return in_session(how_of(options), choose_down(options))
  end

  --- Takes back the last one (with `to`: that one and all behind it), and applies them again as their files are now.
  ---@param options? table as up's
  ---@return table? report
  ---@return inner_universe.Error? err
  function runner:redo(options)
    local ok, err = checked("redo", options, RUN_OPTIONS)
    if not ok then return nil, err end
    options = options or {}
    return in_session(how_of(options), choose_redo(options))
  end

  --- Takes the folder as it is for what was applied, without running anything: files up to `to` (all) count as applied, changed ones as they are now; those
  --- that are gone are forgotten. { recorded = { { version, name, status } }, dry_run }.
  ---@param options? { to?: string|integer, dry_run?: boolean, lock_timeout?: number }
  ---@return table? report
  ---@return inner_universe.Error? err
  function runner:baseline(options)
    local ok, err = checked("baseline", options, { to = "any", dry_run = "boolean", lock_timeout = "number" })
    if not ok then return nil, err end
    options = options or {}
    local function choose(survey)
      local to, why
      if options.to ~= nil then
        to, why = number_of(survey, options.to)
        if not to then return nil, why end
      end
      local list = {}
      local function add(what) list[#list + 1] = what end
      for _, entry in ipairs(survey.entries) do
        local row = survey.row_of[entry.number]
        if not to or entry.number <= to then
          if entry.err then return nil, entry.err end
          if not history.is_applied(row) then
            add { version = entry.version, name = entry.name, checksum = entry.checksum, status = "baseline" }
          elseif row.checksum ~= entry.checksum then
            add { version = row.version, name = entry.name, checksum = entry.checksum, status = row.status, step = row.step, duration_ms = row.duration_ms }
          end
        end
      end
      for _, row in ipairs(survey.rows) do
        if (history.is_applied(row) or history.is_halfway(row)) and not survey.by_number[row.number] then
          add { version = row.version, name = row.name, checksum = row.checksum, status = "removed" }
        end
      end
      return list
    end
    local survey
    survey, err = survey_now()
    if not survey then return nil, err end
    local list
    list, err = choose(survey)
    if not list then return nil, err end
    if #list > 0 and not options.dry_run then
      local rows = {}
      for i, each in ipairs(list) do rows[i] = history.fields(each, each, env.config.error_bytes_max) end
      ok, err = place.session(how_of(options), function(session) return session.record(rows) end)
      if not ok then return nil, err end
    end
    local recorded = iu.array {}
    for i, each in ipairs(list) do recorded[i] = { version = each.version, name = each.name, status = each.status } end
    return { recorded = recorded, dry_run = options.dry_run == true }
  end

  --- Does the folder fit what was applied? { files, applied, pending }, or nil and a MigrationError whose details.problems has them all.
  ---@return table? report
  ---@return inner_universe.Error? err
  function runner:verify()
    local survey, err = survey_now()
    if not survey then return nil, err end
    if #survey.problems > 0 then return nil, history.error_of(survey.problems) end
    local pending = #pending_of(survey)
    local applied = 0
    for _, row in ipairs(survey.rows) do
      if history.is_applied(row) then applied = applied + 1 end
    end
    return { files = #survey.entries, applied = applied, pending = pending }
  end

  return runner
end
