-- help.lua: `iu help [COMMAND]`.

local commands = require("inner_universe.cli.commands")
local out = require("inner_universe.cli.out")

local help = {
  summary = "this list, or how one command is used",
  usage = "[COMMAND]",
  details = "",
  max = 1,
}

---The list of commands.
function help.text()
  local lines = { "usage: iu COMMAND [ARGUMENTS]", "" }
  for _, name in ipairs(commands.names) do
    local command = commands.get(name)
    lines[#lines + 1] = ("  %-30s %s"):format(name .. " " .. command.usage, command.summary)
  end
  lines[#lines + 1] = ""
  lines[#lines + 1] = "`iu help COMMAND` says more. `iu --version` prints the version."
  lines[#lines + 1] = "Exit status: 0, 1 when it failed, 2 when it was used wrongly."
  return table.concat(lines, "\n") .. "\n"
end

---How one command is used.
function help.of(command)
  local lines = { ("usage: iu %s %s"):format(command.name, command.usage), "", command.summary:gsub("^%l", string.upper) .. "." }
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
  local name = arguments[1]
  if not name then
    out.write(help.text())
    return 0
  end
  local command = commands.get(name)
  if not command then return commands.unknown(name) end
  out.write(help.of(command))
  return 0
end

return help
