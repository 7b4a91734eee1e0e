-- status.lua: `iu server status`: whether a server runs on a folder here, and whether it answers.

local iu = require("inner_universe")
local out = require("inner_universe.cli.out")
local own = require("inner_universe.cli.server.own")

local status = {
  summary = "whether a server runs here, and where",
  usage = "[--path PATH] [--address ADDRESS] [--port PORT] [--json]",
  details = [[
The exit status is 0 when one runs and answers, else 1.]],
  options = own.options({ json = { help = "one object: status, answers, pid, address, port, program, data_dir, log_file, holder, detached" } }),
  max = 0,
}

function status.run(options)
  local manager <close>, err = own.manager(options)
  if not manager then return out.fail("%s", out.message(err)) end
  local facts = manager.controller:status()
  facts.answers = manager.controller:answers()
  if options.json then
    out.line("%s", assert(iu.json.encode(facts)))
  elseif facts.pid then
    out.line("process %d %s on %s:%d", facts.pid, facts.answers and "answers" or "runs but does not answer", facts.address, facts.port)
    out.line("  %s", facts.detached and "started by `iu server start`" or ("held by process %d, with which it ends"):format(facts.holder or 0))
    out.line("  program  %s", facts.program)
    out.line("  data     %s", facts.data_dir)
    out.line("  log      %s", facts.log_file)
  elseif facts.answers then
    out.line("a server answers on %s:%d, which was not started on %s", facts.address, facts.port, facts.data_dir)
  else
    out.line("no server runs on %s, and none answers on %s:%d", facts.data_dir, facts.address, facts.port)
  end
  return facts.answers and 0 or 1
end

return status
