-- stop.lua: `iu server stop`: ends the server that `iu server start` left running.

local out = require("inner_universe.cli.out")
local own = require("inner_universe.cli.server.own")

local stop = {
  summary = "ends the server that `iu server start` started: gently, then firmly",
  usage = "[--path PATH]",
  details = [[
One that a running program holds is left alone: it ends with that program. Nothing running is no failure.]],
  options = own.options(),
  max = 0,
}

function stop.run(options)
  local manager <close>, err = own.manager(options)
  if not manager then return out.fail("%s", out.message(err)) end
  local before = manager.controller:status()
  local ok
  ok, err = manager.controller:stop({ detached = true })
  if not ok then return out.fail("%s", out.message(err)) end
  if before.pid then
    out.line("the server (process %d) has ended", before.pid)
  else
    out.line("no server runs on %s", before.data_dir)
  end
  return 0
end

return stop
