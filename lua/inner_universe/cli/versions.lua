-- versions.lua: what the commands that look at versions share: the temporal store of a file or a server, opened so that nothing is changed; how times, colours
-- and JSON values are printed.
--
-- A file is opened as a snapshot: a universe in memory that starts with what the file holds, also while another process has it open. Only the configuration of
-- the plugin temporal_store (its branch) is taken from the environment.

local iu = require("inner_universe")
local out = require("inner_universe.cli.out")
local universe_file = require("inner_universe.cli.universe_file")

local versions = {}

local OPTIONS = {
  json = { help = "as JSON" },
}
local ARRAY = getmetatable(iu.array({}))
local COLOURS = { id = "\27[33m", name = "\27[36m", done = "\27[0m" }

---The options of a command that looks at versions, with those of its own.
---@param own? table
---@return table
function versions.options(own)
  local all = own or {}
  for name, option in pairs(OPTIONS) do
    all[name] = all[name] or option
  end
  return all
end

---The option of a command that prints in colours on a terminal.
versions.NO_COLOR = { help = "no colours (nor with NO_COLOR in the environment; in a pipe there are none)" }

---@param options table of the command line
---@return boolean
function versions.colours(options)
  local unwanted = os.getenv("NO_COLOR")
  return not options["no-color"] and (unwanted == nil or unwanted == "") and out.is_terminal()
end

---Text in a colour, where colours are wanted.
---@param colour "id"|"name"
---@param text string
---@param wanted boolean
function versions.coloured(colour, text, wanted)
  return wanted and COLOURS[colour] .. text .. COLOURS.done or text
end

-- A program of the same user may hold the file, and a module of one's own may have tables in it: neither matters to who only reads versions.
local function open(target)
  if target:match("^wss?://") then return iu.open(target, { reconnect = false }) end
  local path, wrong = universe_file.find(target)
  if not path then return nil, wrong end
  return iu.open("file:" .. path, { snapshot = true })
end

---Opens FILE (a universe file, or ws://host:port/database) and runs fn(store, manager); its exit status. Says what went wrong.
---@param target string
---@param fn fun(store: table, manager: table): integer?, any nil, err: that is said
---@return integer status
function versions.with_store(target, fn)
  local manager, err = open(target)
  if not manager then return out.fail("%s", out.message(err)) end
  local held <close> = manager
  local store
  store, err = held:plugin("temporal_store")
  if not store then return out.fail("%s", out.message(err)) end
  local status
  status, err = fn(store, held)
  if status == nil then return out.fail("%s", out.message(err)) end
  return status
end

---The branch an option names, or the store's own; nil, err where there is no such branch.
---@param store table
---@param name? string
function versions.branch(store, name)
  if not name then return store:current_branch() end
  local branches, err = store:branches()
  if not branches then return nil, err end
  local known = {}
  for i, row in ipairs(branches) do
    if row.name == name then return name end
    known[i] = row.name
  end
  return nil, ("no branch is called %s (there %s)"):format(name, #known == 0 and "are none yet" or "is " .. table.concat(known, ", "))
end

---Microseconds since the epoch, as people read them.
---@param micros integer
function versions.time(micros)
  return ("%s.%06dZ"):format(os.date("!%Y-%m-%d %H:%M:%S", micros // 1000000), micros % 1000000)
end

---A text in one line, without what would move the cursor.
---@param text string
function versions.shown(text)
  return (text:gsub("[\t\n\r]", " "):gsub("%c", "?"))
end

-- JSON for people ----------------------------------------------------------------------------------------------------

local function scalar(v)
  return assert(iu.json.encode(v))
end

local print_value

local function print_array(list, indent)
  out.write("[\n")
  for i = 1, #list do
    out.write(indent .. "  ")
    print_value(list[i], indent .. "  ")
    out.write(i < #list and ",\n" or "\n")
  end
  out.write(indent .. "]")
end

local function print_object(object, indent)
  local keys = {}
  for key in pairs(object) do keys[#keys + 1] = key end
  table.sort(keys)
  out.write("{\n")
  for i, key in ipairs(keys) do
    out.write(indent .. "  " .. scalar(key) .. ": ")
    print_value(object[key], indent .. "  ")
    out.write(i < #keys and ",\n" or "\n")
  end
  out.write(indent .. "}")
end

function print_value(v, indent)
  if type(v) ~= "table" or next(v) == nil then return out.write(scalar(v)) end
  if getmetatable(v) == ARRAY then return print_array(v, indent) end
  return print_object(v, indent)
end

---Prints a JSON value: a member to a line, members by name.
---@param v any
function versions.print_json(v)
  print_value(v, "")
  out.write("\n")
end

---Prints it in one line, for programs; the exit status, or nil, err.
---@param v any
---@return integer?, any err
function versions.print_compact(v)
  local text, err = iu.json.encode(v)
  if not text then return nil, err end
  out.line("%s", text)
  return 0
end

return versions
