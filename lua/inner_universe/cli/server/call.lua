-- call.lua: `iu server call DATABASE REDUCER ARGUMENTS...`: one call, its arguments as JSON.

local iu = require("inner_universe")
local out = require("inner_universe.cli.out")
local where = require("inner_universe.cli.server.where")

local call = {
  summary = "call a reducer or a procedure",
  usage = "DATABASE NAME [ARGUMENT ...]",
  details = [[
Each ARGUMENT is JSON, and a text that is none is a string; or all of them are name=value. An absent option is null, one that is there
{"some": value}; a struct is an object; a variant {"Name": value}. A single `-` reads an array of arguments, or an object of them by name, from standard
input. A procedure's value is printed as the server writes it; a reducer has none.

  iu server call my-world create_entity Person '{"name":{"some":"Ada"},"description":null,"tags":[],"properties":"{}"}' null
  iu server call my-world update_config key=motd value='"5"' description=greeting]],
  options = where.options(),
  min = 2,
}

local INPUT_MAX = 32 * 1024 * 1024 -- bytes of arguments taken from standard input
local NAMED = "^([%a_\128-\255][%w_\128-\255]*)=(.*)$"

local function from_input()
  local value, err = iu.json.decode(io.stdin:read(INPUT_MAX) or "")
  if type(value) ~= "table" then return nil, "standard input: an array or object of arguments expected" .. (err and ": " .. out.message(err) or "") end
  return value
end

-- The arguments as an array or, when all of them are name=value, by name.
local function arguments_of(words)
  if #words == 1 and words[1] == "-" then return from_input() end
  local named, listed = iu.object({}), iu.array({})
  local count = 0
  for i, word in ipairs(words) do
    local name, text = word:match(NAMED)
    if name then
      if named[name] ~= nil then return nil, ("the argument '%s' is given twice"):format(name) end
      named[name] = where.value(text)
      count = count + 1
    end
    listed[i] = where.value(word)
  end
  return count > 0 and count == #words and named or listed
end

-- What the module has under that name, should the call have been refused for its form.
local function signature(http, database, name)
  local schema = http:describe(database)
  local def = schema and (schema.reducers[name] or schema.procedures[name])
  return def and ("; it is %s"):format(def.signature) or schema and "; `iu server describe` lists what there is" or ""
end

function call.run(options, arguments)
  local http, database = where.find(options, arguments[1])
  if not http then return out.fail("%s", out.message(database)) end
  local name = arguments[2]
  local given, wrong = arguments_of(table.pack(table.unpack(arguments, 3)))
  if not given then return out.fail("%s", wrong) end
  local value, err = http:call(database, name, given)
  if value == nil and err then
    local form = err.kind == "ValidationError" and err.details and err.details.status ~= nil
    return out.fail("%s%s", out.message(err), form and signature(http, database, name) or "")
  end
  if value ~= true then out.line("%s", assert(iu.json.encode(value))) end
  return 0
end

return call
