-- diff.lua: `iu diff FILE V1 V2`: what leads from one version's state to another's.

local iu = require("inner_universe")
local out = require("inner_universe.cli.out")
local versions = require("inner_universe.cli.versions")

local diff = {
  summary = "what differs between two versions of a universe",
  usage = "FILE VERSION VERSION [--by-index] [--width N] [--json]",
  details = [[
A line for each change: + what came, - what went, ~ what changed. A VERSION is an id, or the name of a branch or a tag. FILE is a universe file, which is
only read, or ws://host:port/database. No line: the states are the same.

  iu diff world.universe v1.0 main]],
  options = versions.options({
    json = { help = "the operations, as iu.diff.apply takes them" },
    width = { value = "N", integer = true, help = "bytes of a value that are shown (default: 60)" },
    ["by-index"] = { help = "compare the elements of arrays that stand at the same place, and look for none that moved" },
    ["no-color"] = versions.NO_COLOR,
  }),
  min = 3,
  max = 3,
}

local function run(store, options, from, to)
  local operations, err = store:diff(from, to, { arrays = options["by-index"] and "by_index" or "auto" })
  if not operations then return nil, err end
  if options.json then return versions.print_compact(iu.array(operations)) end
  local old
  old, err = store:get_state(from, { document = true })
  if old == nil then return nil, err end
  local text
  text, err = iu.diff.format(operations, { old = old, colours = versions.colours(options), width = options.width })
  if not text then return nil, err end
  out.write(text)
  return 0
end

function diff.run(options, arguments)
  return versions.with_store(arguments[1], function(store) return run(store, options, arguments[2], arguments[3]) end)
end

return diff
