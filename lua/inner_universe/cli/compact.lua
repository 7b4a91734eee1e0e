-- compact.lua: `iu compact FILE`: the file written anew, without unused pages.

local core = require("inner_universe.core")
local out = require("inner_universe.cli.out")
local universe_file = require("inner_universe.cli.universe_file")

local compact = {
  summary = "make a universe file as small as it can be",
  usage = "FILE",
  details = [[
Folds the journal, writes the file anew without unused pages and with its tables in order, and puts it in place of the old one. Killed at any moment the
universe is there, as it was or compact. It needs as much room beside the file as the file takes; a file that is open is refused.]],
  min = 1,
  max = 1,
}

function compact.run(_, arguments)
  local path, wrong = universe_file.find(arguments[1])
  if not path then return out.fail("%s", wrong) end
  local ok, err = universe_file.settle(path)
  if not ok then return out.fail("%s", out.message(err)) end
  local before, after = core.compact(path)
  if not before then return out.fail("%s", out.message(after)) end
  out.line("%s: %s, before %s", path, out.bytes(after), out.bytes(before))
  return 0
end

return compact
