-- local_server.lua: one SpacetimeDB server of this machine: its folder, its start, its end, its restarts.
--
-- status: "stopped" -> "starting" -> "running" -> "stopping" -> "stopped"; "crashed" when it ended by itself (then "starting" again when it is told to).
-- A run is one life of the server's process. Attached, a supervisor ends it with us; detached, it lives on until `stop`, from whichever process.
--
-- FOLDER/data      the server's data          FOLDER/server.log    what it writes          FOLDER/server.json   what runs here
-- FOLDER/keys      its P-256 key pair         FOLDER/server.pid.*  its process id, from the supervisor to us, while it starts

local iu = require "inner_universe"

local plugin = ...
local find = plugin.load "find"
local listens = plugin.load "listens"
local log_file = plugin.load "log_file"
local state_file = plugin.load "state_file"
local supervisor = plugin.load "supervisor"

local CALM = 0.3                                       -- seconds, see supervisor.lua
local PING_TIMEOUT, POLL = 2, 0.05
local LOCKED_ATTEMPTS, LOCKED_DELAY = 20, 0.1          -- the data of a killed server stays locked for a moment
local RESTART_FIRST, RESTART_MOST, RESTART_LIVED = 0.5, 30, 60
local WORDS = 20                                       -- lines of the log that an error carries

---@param ctx table
---@param where { folder: string, address: string, port: integer, url: string }
return function(ctx, where)
  local process, config = ctx.process, ctx.config
  local server = { status = "stopped", restarts = 0, stops = 0 } -- stops: how often it was told to end
  local data, keys = where.folder .. "/data", where.folder .. "/keys"
  local log_path, json_path = where.folder .. "/server.log", where.folder .. "/server.json"
  local handlers = ctx.handlers()
  local run       -- the present life, or nil
  local beginning -- the start under way, or nil: { cancelled, ended }
  server.log_path = log_path

  local function failure(message, ...)
    return iu.errors.new("ConnectionError", message:format(...), { retryable = false })
  end

  local function words(from)
    local text = log_file.reason(log_path, WORDS, from)
    return text ~= "" and ":\n" .. text or " (it said nothing)"
  end

  local function answers_at(url)
    local http = iu.server(url, { timeout = PING_TIMEOUT }) -- nil: an address that is none; the server itself says so
    return http ~= nil and (http:ping()) == true
  end

  --- Whether a SpacetimeDB server answers where this one would, whoever started it.
  function server.answers()
    return answers_at(where.url)
  end

  --- Whether the one that runs on this folder answers, wherever it listens; where none runs: as above.
  function server.is_well()
    local other = not run and state_file.read(json_path)
    return answers_at(other and ("http://%s:%d"):format(other.address, other.port) or where.url)
  end

  local function prepare_folder()
    local made, err = process.run({ "mkdir", "-p", "-m", "700", "--", where.folder, data, keys }, { timeout = 10 })
    if not made then return nil, err end
    if made.status ~= 0 then return nil, iu.errors.new("StorageError", ("the server's folder: %s"):format((made.output:gsub("%s+$", "")))) end
    log_file.rotate(log_path, config.log_bytes_max)
    return true
  end

  local function command_line(program)
    local help, err = process.run({ program, "start", "--help" }, { timeout = 20 })
    if not help then return nil, err end
    if help.status ~= 0 then
      return nil, failure("%s start --help %s: %s", program, process.describe(help.status, help.signal), (help.output:gsub("%s+$", "")))
    end
    local args = { program, "start", "--data-dir", data, "--jwt-pub-key-path", keys .. "/id_ecdsa.pub", "--jwt-priv-key-path", keys .. "/id_ecdsa",
      "--listen-addr", ("%s:%d"):format(where.address, where.port) }
    if help.output:find("--non-interactive", 1, true) then args[#args + 1] = "--non-interactive" end -- else a newer one asks when the port is in use
    for i = 1, #config.arguments do args[#args + 1] = config.arguments[i] end
    return args
  end

  -- its end --------------------------------------------------------------------------------------------------------

  local restart_later

  local function on_exit(life, status, signal)
    if not life.detached and not signal and status > 128 then status, signal = 0, status - 128 end -- how the supervisor's shell tells it
    life.exit = { status = status, signal = signal, at = iu.now(), text = process.describe(status, signal) }
    life.ended:resolve(true)
    if run ~= life then return end
    run = nil
    if not life.ready or life.stopping then return end
    state_file.remove(json_path, life.pid)
    server.status, server.last_exit = "crashed", life.exit
    ctx.log.error("the SpacetimeDB server %s%s", life.exit.text, words(life.log_from))
    handlers:emit { status = "crashed", exit_status = status, signal = signal, text = life.exit.text }
    if config.restart then restart_later(life) end
  end

  -- Asks it to end and waits: by the supervisor, or by ourselves when it is detached.
  local function end_run(life)
    life.stopping = true
    if life.detached then
      iu.sleep(CALM)
      life.handle:signal(2)
      if not life.ended:wait(config.stop_timeout) then life.handle:signal(9) end
    else
      life.handle:close_input()
    end
    local ok, err = life.ended:wait(config.stop_timeout + 5)
    if not ok and not life.detached then life.handle:signal(9) end -- takes the server with it where the supervisor could tie it
    life.handle:close()
    if run == life then run = nil end
    state_file.remove(json_path, life.pid)
    return ok, err
  end

  -- its start ------------------------------------------------------------------------------------------------------

  local function launch(args, detached)
    local life = { detached = detached, ended = ctx.waiter(), log_from = log_file.size(log_path), program = args[1], started_at = iu.now(),
      began = ctx.clock(), pid_path = ("%s/server.pid.%s"):format(where.folder, iu.uuid()) }
    local line = { "sh", "-c", 'umask 077; exec "$@"', "sh" }
    if not detached then
      line = { "sh", "-c", supervisor, "inner-universe-server", tostring(CALM), ("%d"):format(math.ceil(config.stop_timeout)), life.pid_path }
    end
    table.move(args, 1, #args, #line + 1, line)
    local err
    life.handle, err = process.start({ args = line, output_file = log_path, input = not detached, own_session = true },
      function(status, signal) on_exit(life, status, signal) end)
    if not life.handle then return nil, err end
    if detached then life.pid = life.handle:pid() end
    return life
  end

  local function pid_of(life)
    local file = io.open(life.pid_path, "rb")
    local text = file and file:read("a")
    if file then file:close() end
    os.remove(life.pid_path)
    return math.tointeger(tonumber(text))
  end

  -- For other processes; a detached one also while it starts, since it lives on if we end meanwhile.
  local function record(life)
    local ok, err = state_file.write(json_path, { pid = life.pid, address = where.address, port = where.port, program = life.program,
      detached = life.detached, holder = not life.detached and process.own_pid() or nil })
    if not ok then ctx.log.warn("%s", tostring(err)) end
  end

  local function cancelled()
    return failure("the SpacetimeDB server on %s:%d was stopped while it started", where.address, where.port)
  end

  -- Until it answers. nil, err: it ended (the log says why), or does not answer in time.
  local function await(life)
    local limit = ctx.clock() + config.start_timeout
    while ctx.clock() < limit do
      if not life.exit and server.answers() then
        local ours = listens(process, life.handle:pid(), where.port)
        if ours == nil then iu.sleep(POLL) end -- time for it to end, if what answered is another server
        if not life.exit and ours ~= false and not beginning.cancelled then
          life.ready, life.pid = true, life.pid or pid_of(life)
          record(life)
          return true
        end
      end
      if life.exit then
        return nil, failure("the SpacetimeDB server on %s:%d %s while it started%s", where.address, where.port, life.exit.text, words(life.log_from))
      end
      if beginning.cancelled then
        end_run(life)
        return nil, cancelled()
      end
      iu.sleep(POLL)
    end
    end_run(life)
    return nil, iu.errors.new("TimeoutError", ("the SpacetimeDB server on %s:%d did not answer within %g s%s"):format(where.address, where.port,
      config.start_timeout, words(life.log_from)))
  end

  local function is_locked(life)
    return life.exit and log_file.reason(log_path, WORDS, life.log_from):lower():find("%f[%a]lock") ~= nil -- "block" is in a backtrace
  end

  local function start(detached)
    local program, err = find(process, config.program)
    if not program then return nil, err end
    local ok
    ok, err = prepare_folder()
    if not ok then return nil, err end
    local args
    args, err = command_line(program)
    if not args then return nil, err end
    for attempt = 1, LOCKED_ATTEMPTS do
      if beginning.cancelled then return nil, cancelled() end
      local life
      life, err = launch(args, detached)
      if not life then return nil, err end
      run = life
      if detached and not state_file.read(json_path) then record(life) end
      ok, err = await(life)
      if ok then break end
      if run == life then run = nil end
      life.handle:close()
      os.remove(life.pid_path)
      state_file.remove(json_path, life.pid)
      if beginning.cancelled then return nil, cancelled() end
      if life.exit and server.answers() then return false end
      if not is_locked(life) or attempt == LOCKED_ATTEMPTS then return nil, err end
      iu.sleep(LOCKED_DELAY)
    end
    ctx.log.info("the SpacetimeDB server runs on %s:%d (process %d, %s)", where.address, where.port, run.pid, program)
    return true
  end

  -- The end of a start, also where its task was cancelled in the middle: there nothing may wait, and the supervisor does the rest.
  local Beginning = {
    __close = function(this)
      beginning = nil
      if not this.ok and run then
        run.stopping = true
        if run.detached then run.handle:signal(2) end
        run.handle:close()
        os.remove(run.pid_path)
        state_file.remove(json_path, run.pid)
        run = nil
      end
      server.status = this.ok and "running" or "stopped"
      this.ended:resolve(true)
    end,
  }

  --- Starts it and waits until it answers. true; false when another one was quicker, and answers; nil, err with the server's own words.
  --- stops: as it was when the caller began, if that may be a while ago: one who was told to end since then does not begin.
  function server.start(detached, stops)
    if stops and stops ~= server.stops then return nil, cancelled() end
    if server.status == "running" then return true end
    if server.status == "starting" or server.status == "stopping" then return nil, failure("the SpacetimeDB server is %s already", server.status) end
    local this <close> = setmetatable({ cancelled = false, ended = ctx.waiter() }, Beginning)
    server.status, beginning = "starting", this
    local ok, err = start(detached == true)
    this.ok = ok
    return ok, err
  end

  function restart_later(life)
    if ctx.clock() - life.began > RESTART_LIVED then server.restarts = 0 end
    if server.restarts >= config.restart_max then
      return ctx.log.error("the SpacetimeDB server is not started again: it ended %d times in a row", server.restarts + 1)
    end
    local delay = math.min(RESTART_MOST, RESTART_FIRST * 2 ^ server.restarts)
    server.restarts = server.restarts + 1
    ctx.spawn(function()
      iu.sleep(delay)
      if server.status ~= "crashed" then return end
      local ok, err = server.start(false)
      if ok then
        handlers:emit { status = "running", restarts = server.restarts }
      elseif ok == nil then
        ctx.report(err, "controller: starting the server again")
      end
    end)
  end

  --- Ends the one we started; with `detached` also one that another process left running here. true, or nil, err.
  function server.stop(detached)
    server.stops = server.stops + 1
    if beginning then -- the start itself ends what it began, so that nothing of it is left when this returns
      beginning.cancelled = true
      return beginning.ended:wait(config.stop_timeout + config.start_timeout)
    end
    if run then
      if server.status == "stopping" then return nil, failure("the SpacetimeDB server is being stopped already") end
      server.status = "stopping"
      local ok, err = end_run(run)
      server.status = "stopped"
      return ok, err
    end
    server.status = "stopped"
    local other = detached and state_file.read(json_path)
    if not other then return true end
    if not other.detached then return nil, failure("the SpacetimeDB server on %s belongs to process %d, and ends with it", where.folder, other.holder or 0) end
    iu.sleep(CALM)
    for _, signal in ipairs { "INT", "KILL" } do
      local sent, err = process.signal(other.pid, signal)
      if sent == nil then return nil, err end -- another user's
      local limit = ctx.clock() + config.stop_timeout
      while state_file.read(json_path) and ctx.clock() < limit do iu.sleep(POLL) end
      if not state_file.read(json_path) then break end
    end
    if state_file.read(json_path) then
      return nil, iu.errors.new("TimeoutError", ("the SpacetimeDB server (process %d) has not ended %g s after it was killed"):format(other.pid,
        config.stop_timeout))
    end
    state_file.remove(json_path, other.pid)
    return true
  end

  --- Where nothing may wait (a finaliser): the supervisor does the rest.
  function server.let_go()
    server.stops = server.stops + 1
    if beginning then beginning.cancelled = true end
    server.status = "stopped" -- no restart that waits begins
    if not run then return end
    run.stopping = true
    run.handle:close()
    run = nil
  end

  --- A detached one is not ours any more.
  function server.detach()
    if run and run.detached then
      run.handle:close()
      run = nil
      server.status = "stopped"
    end
  end

  --- Facts: status, own, pid, program, started_at, restarts, last_exit.
  function server.facts()
    local facts = { status = server.status, own = run ~= nil, restarts = server.restarts, last_exit = server.last_exit, data_dir = data, log_file = log_path }
    local other = not run and state_file.read(json_path) or nil
    if run then
      facts.pid, facts.program, facts.started_at, facts.detached = run.pid, run.program, run.started_at, run.detached
    elseif other then
      facts.status, facts.pid, facts.program, facts.detached, facts.holder = "running", other.pid, other.program, other.detached, other.holder
      facts.address, facts.port = other.address, other.port
    end
    return facts
  end

  --- The last lines of what it wrote.
  function server.logs(lines)
    return log_file.tail(log_path, lines)
  end

  --- `fn(event)`: it crashed (status, exit_status, signal, text), or runs again (status, restarts).
  function server.on_change(fn)
    return handlers:add(fn)
  end

  return server
end
