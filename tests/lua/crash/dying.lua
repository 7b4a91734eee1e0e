-- How the processes begin that crash tests kill: with a seed, with small folds, and saying what they do a line at a time.

local core = require "inner_universe.core"

local dying = {}

--- Seeds, has universes fold once so many bytes are in the journal (the manager's configuration has no key for it), and answers what says a line: its words, in
--- one write, on standard output at once.
---@param seed string
---@param fold_bytes string
---@return fun(...: any)
function dying.begin(seed, fold_bytes)
  io.stdout:setvbuf("no")
  math.randomseed(math.tointeger(seed))
  local open = core.open
  function core.open(options)
    options.fold_bytes = math.tointeger(fold_bytes)
    return open(options)
  end
  return function(...) io.stdout:write(table.concat({ ... }, " ") .. "\n") end
end

return dying
