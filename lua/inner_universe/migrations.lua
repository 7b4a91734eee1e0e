-- `iu.migrations(target, options)`: the plugin `migrations` for a universe that is not open: what its methods do, each opening what it needs and closing it
-- again. The plugin is found and configured as for a universe; nothing of it is known here but that its init.lua has `offline(tool)`.

local runtime = require("inner_universe.runtime")
local check = require("inner_universe.check")
local errors = require("inner_universe.errors")
local plugin_host = require("inner_universe.plugin_host")
local process = require("inner_universe.process")
local target = require("inner_universe.target")
local universe = require("inner_universe.universe")

local migrations = {}

local NAME = "migrations"
local tasks = runtime.tasks

-- The plugin's configuration: what the universe's says of it, and over that the options.
local function plugins_with(settings, options)
  local plugins = {}
  for key, value in pairs(settings.plugins) do plugins[key] = value end
  local own = {}
  if type(plugins[NAME]) == "table" then
    for key, value in pairs(plugins[NAME]) do own[key] = value end
  end
  for key, value in pairs(options) do own[key] = value end
  plugins[NAME] = own
  return plugins
end

---@param cfg inner_universe.Config
---@param options table of the plugin's configuration
---@param open fun(extra: table): table?, inner_universe.Error? opens the target as a universe, `extra` over its configuration
---@param module any what the option `module` of connect takes
---@return table?, inner_universe.Error?
function migrations.new(cfg, options, open, module)
  local parsed, err = target.of_config(cfg)
  if not parsed then return nil, err end
  local settings = cfg:to_table()
  local plugins = plugins_with(settings, options)
  local function logger(source) return runtime.log.logger(source, cfg.log_level) end
  local host = plugin_host.new({ api = universe.API_VERSION, plugins = plugins, services = { logger = logger, clock = runtime.core.mono } })
  host:read()
  host:validate()
  local code, config = host:code_of(NAME)
  if not code then return nil, config end
  if type(code.offline) ~= "function" then return nil, errors.new("PluginError", "plugin migrations: it works on universes that are open only") end
  return code.offline({
    target = parsed.text, kind = parsed.kind, path = parsed.path, config = config, settings = settings, module = module, log = logger(NAME), check = check,
    process = process, sql = runtime.core.sql,
    folders = { names = runtime.core.folder_names, make = runtime.core.make_folder }, clock = runtime.core.mono, can_wait = tasks.can_wait,
    open = function(extra)
      local own = {}
      for key, value in pairs(plugins[NAME]) do own[key] = value end
      own.on_pending = "ignore" -- what is pending is being run
      extra.plugins = { [NAME] = own }
      return open(extra)
    end,
  })
end

return migrations
