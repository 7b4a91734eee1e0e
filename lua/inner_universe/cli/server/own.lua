-- own.lua: the server of this machine that `start`, `stop` and `status` speak of: the options that name it, and the controller that has it.

local iu = require("inner_universe")

local own = {}

local OPTIONS = {
  config = { value = "FILE", help = "a configuration, .json or .lua (default: the environment's)" },
  path = { value = "PATH", help = "its keys, data and log are in PATH.spacetimedb/ (default: db_path)" },
  address = { value = "ADDRESS", help = "where it listens (default: 127.0.0.1)" },
  port = { value = "PORT", integer = true, help = "(default: 3000)" },
}

---The options of a command about it, with those of its own.
---@param more table?
---@return table
function own.options(more)
  local all = {}
  for _, list in ipairs({ OPTIONS, more or {} }) do
    for name, option in pairs(list) do
      all[name] = option
    end
  end
  return all
end

---A manager that is not open, for its controller; or nil, err. To be shut down.
---@param options table of the command line
---@return inner_universe.Manager?, inner_universe.Error?
function own.manager(options)
  local overrides = { backend = "spacetimedb", db_path = options.path, address = options.address, port = options.port }
  if options.program then overrides.plugins = { controller = { program = options.program } } end
  local cfg, err = iu.config(options.config, { overrides = overrides })
  if not cfg then return nil, err end
  return iu.manager(cfg)
end

return own
