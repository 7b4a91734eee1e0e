-- help.lua: `iu help [COMMAND]`.

local commands = require("inner_universe.cli.commands")
local out = require("inner_universe.cli.out")

local help = {
  summary = "this list, or how one command is used",
  usage = "[COMMAND]",
  details = "",
}

local function list(lines, group)
  for _, command in ipairs(commands.members(group)) do
    lines[#lines + 1] = ("  %-30s %s"):format(command.name .. " " .. command.usage, command.summary)
  end
end

---The list of commands.
function help.text()
  local lines = { "usage: iu COMMAND [ARGUMENTS]", "" }
  list(lines)
  lines[#lines + 1] = ""
  lines[#lines + 1] = "`iu help COMMAND` says more. `iu --version` prints the version."
  lines[#lines + 1] = "Exit status: 0, 1 when it failed, 2 when it was used wrongly."
  return table.concat(lines, "\n") .. "\n"
end

---How one command, or a group of them, is used.
function help.of(command)
  local lines = { ("usage: iu %s %s"):format(command.title:gsub("%s+$", ""), command.usage), "", command.summary:gsub("^%l", string.upper) .. "." }
  if command.names then
    lines[#lines + 1] = ""
    list(lines, command)
  end
  if command.details ~= "" then
    lines[#lines + 1] = ""
    lines[#lines + 1] = (command.details:gsub("%s+$", ""))
  end
  local names = {}
  for name, option in pairs(command.options or {}) do
    if option.help then names[#names + 1] = name end
  end
  table.sort(names)
  if #names > 0 then lines[#lines + 1] = "" end
  for _, name in ipairs(names) do
    local option = command.options[name]
    local spelled = ("--%s%s"):format(name, option.value and " " .. option.value or "")
    lines[#lines + 1] = ("  %-20s %s"):format(spelled, option.help)
  end
  return table.concat(lines, "\n") .. "\n"
end

function help.run(_, arguments)
  if #arguments == 0 then
    out.write(help.text())
    return 0
  end
  local command, status = commands.find(arguments)
  if not command then return status end
  out.write(help.of(command))
  return 0
end

return help
