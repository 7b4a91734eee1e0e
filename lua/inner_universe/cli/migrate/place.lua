-- place.lua: which universe, and which folder of migrations: options win over the configuration (file, INNER_UNIVERSE_* variables).

local iu = require("inner_universe")
local out = require("inner_universe.cli.out")

local place = {}

local OPTIONS = {
  config = { value = "FILE", help = "a configuration, .json or .lua (default: the environment's)" },
  folder = { value = "FOLDER", help = "where the files are (default: the configuration's, ./migrations)" },
  json = { help = "as JSON" },
}

---The options of a command, with those of its own.
---@param own? table
---@return table
function place.options(own)
  local all = {}
  for name, option in pairs(OPTIONS) do all[name] = option end
  for name, option in pairs(own or {}) do all[name] = option end
  return all
end

---The migrations of a target.
---@param options table of the command line
---@param target? string
---@param makes_folder? boolean the command makes the folder where it is not there
---@return table? migrations
---@return any err
function place.find(options, target, makes_folder)
  if options.folder and not makes_folder then -- one that was named; the configuration's need not be there before the first file is
    local folder = io.open(options.folder, "rb")
    if not folder then return nil, ("--folder: no such folder: %s"):format(options.folder) end
    folder:close()
  end
  local cfg, err = iu.config(options.config)
  if not cfg then return nil, err end
  local settings = cfg:to_table()
  if target then
    -- A configuration beside a target given as text: the text wins.
    local host, port, database = target:match("^wss?://([^/]+):(%d+)/([^/?]+)$")
    if host then
      settings.backend, settings.address, settings.port, settings.database = "spacetimedb", host, math.tointeger(tonumber(port)), database
      settings.tls = target:match("^wss:") ~= nil
    elseif target:match("^%a[%w+.-]*://") and not target:match("^file:") then
      return nil, target .. ": a file or ws://host:port/database expected"
    else
      settings.backend, settings.db_path = "embedded", target:match("^file://(/.*)$") or target:match("^file:(.*)$") or target
    end
  end
  return iu.migrations(settings, { folder = options.folder, module = options.module, lock_timeout = options["lock-timeout"] })
end

---Prints a value as one line of JSON; the exit status.
---@param value any
---@param status? integer
---@return integer
function place.json(value, status)
  out.line("%s", assert(iu.json.encode(value)))
  return status or 0
end

---A failure as the command tells it: with --json an object on standard output, too. The exit status.
---@param options table
---@param err any
---@return integer
function place.fail(options, err)
  local stopped = type(err) == "table" and err.code == "STOPPED"
  if options.json and type(err) == "table" then
    local details = err.details or {}
    place.json { ok = false, kind = err.kind, code = err.code, message = out.message(err), problems = details.problems and iu.array(details.problems),
      done = details.done and iu.array(details.done), version = details.version, file = details.file, step = details.step }
  end
  out.error(type(err) == "table" and err.message or tostring(err))
  return stopped and 130 or 1
end

---Microseconds since the epoch, as people read them.
---@param micros? integer
function place.time(micros)
  return micros and os.date("!%Y-%m-%d %H:%M:%SZ", micros // 1000000) or ""
end

return place
