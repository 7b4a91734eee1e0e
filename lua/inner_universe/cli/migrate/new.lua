-- new.lua: `iu migrate new NAME`: the next file, from a template.

local out = require("inner_universe.cli.out")
local place = require("inner_universe.cli.migrate.place")

local new = {
  summary = "write the next file from a template",
  usage = "NAME [--description TEXT] [--online]",
  details = [[
  iu migrate new "add level to player"]],
  options = place.options {
    description = { value = "TEXT", help = "what it is for (default: the name)" },
    online = { help = "in batches with checkpoints, instead of one transaction" },
  },
  min = 1,
  max = 1,
}

function new.run(options, arguments)
  local migrations, err = place.find(options, nil, true)
  if not migrations then return place.fail(options, err) end
  local path
  path, err = migrations:new(arguments[1], { description = options.description, online = options.online })
  if not path then return place.fail(options, err) end
  if options.json then return place.json { path = path } end
  out.line("%s", path)
  return 0
end

return new
