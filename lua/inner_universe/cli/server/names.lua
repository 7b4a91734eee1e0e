-- names.lua: `iu server names [DATABASE]`: what a database is called.

local iu = require("inner_universe")
local out = require("inner_universe.cli.out")
local where = require("inner_universe.cli.server.where")

local names = {
  summary = "the names of a database, or new ones",
  usage = "[DATABASE] [--add NAME | --set NAME,NAME...] [--json]",
  details = "",
  options = where.options({
    add = { value = "NAME", help = "one more" },
    set = { value = "NAMES", help = "these and no others; none of them may be in use, by this database either" },
    json = { help = "an array" },
  }),
  max = 1,
}

local function change(http, database, options)
  if options.add then return http:add_name(database, options.add) end
  if not options.set then return true end
  local list = {}
  for name in (options.set .. ","):gmatch("([^,]*),") do
    list[#list + 1] = name
  end
  local ok, err = http:set_names(database, list)
  return ok, err, list[1]
end

function names.run(options, arguments)
  if options.add and options.set then
    out.error("--add and --set do not go together")
    return 2
  end
  local http, database = where.find(options, arguments[1])
  if not http then return out.fail("%s", out.message(database)) end
  local ok, err, renamed = change(http, database, options)
  if not ok then return out.fail("%s", out.message(err)) end
  local list
  list, err = http:names(renamed or database)
  if not list then return out.fail("%s", out.message(err)) end
  if options.json then
    out.line("%s", assert(iu.json.encode(iu.array(list))))
    return 0
  end
  for _, name in ipairs(list) do
    out.line("%s", name)
  end
  return 0
end

return names
