-- commands.lua: the commands, and how a command line becomes a call of one. A command's module is loaded when it is used. A command with `names` is a
-- group: `iu server publish` is the command `publish` of the group `server`, the module server/publish.lua.

local args = require("inner_universe.cli.args")
local out = require("inner_universe.cli.out")
local suggest = require("inner_universe.suggest")

local commands = {}

---In the order of `iu help`.
commands.names = {
  "run", "demo", "info", "query", "log", "show", "diff", "blame", "verify", "check", "backup", "compact", "copy", "export", "import", "migrate", "server",
  "plugins", "doctor", "help",
}

local ROOT = { names = commands.names, module = "inner_universe.cli", title = "" }

local function member(group, name)
  for _, known in ipairs(group.names) do
    if known == name then
      local command = require(group.module .. "." .. name)
      command.module = group.module .. "." .. name
      command.name = name
      command.title = group.title .. name -- "server publish"
      if command.names then command.title = command.title .. " " end
      return command
    end
  end
end

---The command that these words name; or nil, the exit status, when there is none (which is said then).
---@param words string[]
function commands.find(words)
  local group = ROOT
  for _, word in ipairs(words) do
    if not group.names then
      out.error(("`iu %s` has no commands of its own"):format(group.title))
      return nil, 2
    end
    local command = member(group, word)
    if not command then return nil, commands.unknown(group, word) end
    group = command
  end
  return group
end

---The commands of a group; nil: the top ones.
function commands.members(group)
  group = group or ROOT
  local list = {}
  for i, name in ipairs(group.names) do
    list[i] = member(group, name)
  end
  return list
end

local function how_to_list(group)
  return ("`iu help%s`"):format((" " .. group.title):gsub("%s+$", ""))
end

---Says that there is no such command; the exit status.
function commands.unknown(group, name)
  out.error(("unknown command '%s%s'%s; %s lists them"):format(group.title, name, suggest.hint(name, group.names), how_to_list(group)))
  return 2
end

local function run_command(command, argv, context)
  local options, rest = args.parse(command, argv)
  if not options then
    out.error(("%s (usage: iu %s %s)"):format(rest, command.title, command.usage))
    return 2
  end
  if options.help then
    out.write(member(ROOT, "help").of(command))
    return 0
  end
  return command.run(options, rest, context)
end

---@param argv string[] the whole command line
---@param context table { tree = top of the source tree or nil, main = path of main.lua, lua = the interpreter }
---@return integer status
function commands.run(argv, context)
  local group, help = ROOT, member(ROOT, "help")
  for i = 1, #argv do
    local name = argv[i]
    if group == ROOT and (name == "--version" or name == "-V") then
      out.line("iu %s", require("inner_universe")._VERSION)
      return 0
    end
    if name == "--help" or name == "-h" then
      out.write(group == ROOT and help.text() or help.of(group))
      return 0
    end
    if name:match("^%-") then
      local known = group == ROOT and { "--help", "--version" } or { "--help" }
      out.error(("unknown option '%s'%s; %s lists what there is"):format(name, suggest.hint(name, known), how_to_list(group)))
      return 2
    end
    local command = member(group, name)
    if not command then return commands.unknown(group, name) end
    if not command.names then return run_command(command, table.pack(table.unpack(argv, i + 1)), context) end
    group = command
  end
  io.stderr:write(group == ROOT and help.text() or help.of(group))
  return 2
end

return commands
