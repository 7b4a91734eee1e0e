-- blame.lua: `iu blame FILE PATH`: the version that last changed each leaf under a path.

local iu = require("inner_universe")
local out = require("inner_universe.cli.out")
local versions = require("inner_universe.cli.versions")

local SHOWN = 60 -- bytes of a value

local blame = {
  summary = "who changed what lies at a path of a universe's state",
  usage = "FILE PATH [--version VERSION] [--json]",
  details = [[
A line for each leaf: the version that last changed it, when and by whom, and its value. Elements that moved in an array are followed. "" is the whole state; a
PATH has dots in between, and indexes from 0. FILE is a universe file, which is only read, or ws://host:port/database.

  iu blame world.universe players.ada]],
  options = versions.options({
    version = { value = "VERSION", help = "in this version, branch or tag (default: main)" },
    ["no-color"] = versions.NO_COLOR,
  }),
  min = 2,
  max = 2,
}

local function run(store, options, path)
  local rows, err = store:blame(path, { version = options.version })
  if not rows then return nil, err end
  if options.json then return versions.print_compact(iu.array(rows)) end
  local width = 1
  for _, row in ipairs(rows) do width = math.max(width, out.columns(versions.shown(row.author or "-"))) end
  local colours = versions.colours(options)
  for _, row in ipairs(rows) do
    local author = versions.shown(row.author or "-")
    out.line("%s %s %s  %s: %s", versions.coloured("id", row.version_id, colours), versions.time(row.timestamp),
      author .. (" "):rep(width - out.columns(author)), versions.coloured("name", row.path == "" and "(root)" or versions.shown(row.path), colours),
      out.cut(assert(iu.json.encode(row.value)), SHOWN))
  end
  return 0
end

function blame.run(options, arguments)
  return versions.with_store(arguments[1], function(store) return run(store, options, arguments[2]) end)
end

return blame
