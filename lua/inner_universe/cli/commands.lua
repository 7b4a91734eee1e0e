-- commands.lua: the list of commands, and how a command line becomes a call of one. A command's module is loaded when it is used.

local args = require("inner_universe.cli.args")
local out = require("inner_universe.cli.out")
local suggest = require("inner_universe.suggest")

local commands = {}

---In the order of `iu help`.
commands.names = { "run", "demo", "info", "query", "plugins", "doctor", "help" }

local KNOWN = {}
for _, name in ipairs(commands.names) do
  KNOWN[name] = true
end

---@return table? command
function commands.get(name)
  if not KNOWN[name] then return nil end
  local command = require("inner_universe.cli." .. name)
  command.name = name
  return command
end

---Says that there is no such command; the exit status.
function commands.unknown(name)
  out.error(("unknown command '%s'%s; `iu help` lists them"):format(name, suggest.hint(name, commands.names)))
  return 2
end

---@param argv string[] the whole command line
---@param context table { tree = top of the source tree or nil, main = path of main.lua, lua = the interpreter }
---@return integer status
function commands.run(argv, context)
  local name = argv[1]
  if name == nil then
    io.stderr:write(commands.get("help").text())
    return 2
  end
  if name == "--version" or name == "-V" then
    out.line("iu %s", require("inner_universe")._VERSION)
    return 0
  end
  if name == "--help" or name == "-h" then name = "help" end
  if name:match("^%-") then
    out.error(("unknown option '%s'%s; `iu help` lists what there is"):format(name, suggest.hint(name, { "--help", "--version" })))
    return 2
  end
  local command = commands.get(name)
  if not command then return commands.unknown(name) end
  local options, rest = args.parse(command, table.pack(table.unpack(argv, 2)))
  if not options then
    out.error(("%s (usage: iu %s %s)"):format(rest, name, command.usage))
    return 2
  end
  if options.help then
    out.write(commands.get("help").of(command))
    return 0
  end
  return command.run(options, rest, context)
end

return commands
