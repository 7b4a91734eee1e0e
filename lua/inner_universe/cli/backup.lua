-- backup.lua: `iu backup FILE TARGET`: a copy of a universe file that is open nowhere. Whoever has it open makes the copy itself (manager:backup).

local backup_of_file = require("inner_universe.backup").of_file
local out = require("inner_universe.cli.out")
local universe_file = require("inner_universe.cli.universe_file")

local backup = {
  summary = "copy a universe file",
  usage = "FILE TARGET [--overwrite]",
  details = [[
The copy is a universe of its own, written beside TARGET and renamed there when it is complete. FILE is not changed, and need not have been closed
properly: what its log still holds is in the copy too. A file that a process has open is refused; that program makes the copy with manager:backup(TARGET).

  iu backup world.universe world-$(date +%F).universe]],
  options = { overwrite = { help = "replace a universe that is there" } },
  min = 2,
  max = 2,
}

function backup.run(options, arguments)
  local path, wrong = universe_file.find(arguments[1])
  if not path then return out.fail("%s", wrong) end
  local bar
  local ok, err = backup_of_file(path, arguments[2], {
    overwrite = options.overwrite,
    progress = function(done, total)
      bar = bar or out.progress("copying", total)
      bar.step(done)
    end,
  })
  out.clear()
  if not ok then
    local open = err.kind == "UniverseLockedError" and "; a program that has it open makes the copy with manager:backup" or ""
    return out.fail("%s%s", out.message(err), open)
  end
  out.line("%s: %s", arguments[2], out.bytes(universe_file.size(arguments[2])))
  return 0
end

return backup
