-- args.lua: options and arguments of a command, from its description:
--
--   options = { json = { short = "j", help = "..." }, file = { value = "FILE", help = "..." } }, min = 1, max = 2, stops = true
--
-- `--name`, `--name=value`, `--name value`, `-n`, `-n value`; `--` ends the options, and with `stops` so does the first argument (what
-- follows belongs to the program that `run` starts). An option given twice: the last one counts. A negative number is an argument. The value of an
-- option with `number` is one above 0 (`integer`: a whole one).
--
-- A parser of its own and not argparse: the command must work from a rock, which brings no other Lua module, and be the same everywhere.

local suggest = require("inner_universe.suggest")

local args = {}

local HELP = { short = "h" }

local function by_short(options, letter)
  if letter == HELP.short then return "help", HELP end
  for name, option in pairs(options) do
    if option.short == letter then return name, option end
  end
end

local function find(options, word)
  local name, value = word:match("^%-%-([^=]+)=(.*)$")
  name = name or word:match("^%-%-(.+)$")
  if name == "help" then return name, HELP, value end
  if name then return name, options[name], value end
  name = word:match("^%-(.)$")
  if not name then return nil end
  local long, option = by_short(options, name)
  return long, option
end

local function unknown(options, word)
  local names = { "--help" }
  for name in pairs(options) do
    names[#names + 1] = "--" .. name
  end
  return nil, ("unknown option '%s'%s"):format(word, suggest.hint(word:match("^[^=]*"), names))
end

-- What an option's text stands for; nil, what is wrong.
local function value_of(name, option, text)
  if not (option.number or option.integer) then return text end
  local number = tonumber(text)
  if option.integer then number = math.tointeger(number) end
  if not number or not (number > 0 and number < math.huge) then
    return nil, ("option '--%s' wants a%s number above 0, not '%s'"):format(name, option.integer and " whole" or "", text)
  end
  return number
end

local function check_count(command, rest)
  if #rest < (command.min or 0) then return nil, "arguments are missing" end
  if command.max and #rest > command.max then return nil, ("unexpected argument '%s'"):format(rest[command.max + 1]) end
  return true
end

---@param command table
---@param argv string[]
---@return table? options by name: true, or the value
---@return string[]|string rest the arguments, or what is wrong
function args.parse(command, argv)
  local known, options, rest = command.options or {}, {}, {}
  local i, ended = 1, false
  while i <= #argv do
    local word = argv[i]
    if ended or word == "-" or not word:match("^%-") or word:match("^%-%.?%d") then
      rest[#rest + 1] = word
      ended = ended or command.stops == true
    elseif word == "--" then
      ended = true
    else
      local name, option, value = find(known, word)
      if not option then return unknown(known, word) end
      if option.value and value == nil then
        i = i + 1
        value = argv[i]
        if value == nil then return nil, ("option '%s' wants %s"):format(word, option.value) end
      elseif value ~= nil and not option.value then
        return nil, ("option '--%s' takes no value"):format(name)
      end
      local wrong
      options[name], wrong = true, nil
      if option.value then options[name], wrong = value_of(name, option, value) end
      if wrong then return nil, wrong end
    end
    i = i + 1
  end
  if options.help then return options, rest end
  local ok, wrong = check_count(command, rest)
  if not ok then return nil, wrong end
  return options, rest
end

return args
