-- show.lua: `iu show FILE VERSION [PATH]`: a version's state, or what lies in it at a path.

local iu = require("inner_universe")
local versions = require("inner_universe.cli.versions")

local show = {
  summary = "the state that a version of a universe holds",
  usage = "FILE VERSION [PATH] [--json]",
  details = [[
As JSON, a member to a line and in the order of their names, exactly as it was committed (the hash is checked). A VERSION is an id, or the name of a
branch or a tag; a PATH has dots in between, and indexes from 0. FILE is a universe file, which is only read, or ws://host:port/database.

  iu show world.universe main
  iu show world.universe v1.0 players.ada.items.0 --json]],
  options = versions.options({ json = { help = "in one line" } }),
  min = 2,
  max = 3,
}

local function run(store, options, version, path)
  local state, err = store:get_state(version)
  if state == nil then return nil, err end
  if path then
    state, err = iu.diff.get(state, path)
    if state == nil then return nil, err end
  end
  if options.json then return versions.print_compact(state) end
  versions.print_json(state)
  return 0
end

function show.run(options, arguments)
  return versions.with_store(arguments[1], function(store) return run(store, options, arguments[2], arguments[3]) end)
end

return show
