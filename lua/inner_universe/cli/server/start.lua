-- start.lua: `iu server start`: a SpacetimeDB server of this machine that lives on when the command has ended.

local iu = require("inner_universe")
local out = require("inner_universe.cli.out")
local own = require("inner_universe.cli.server.own")

local start = {
  summary = "starts a server here, which lives on until `iu server stop`",
  usage = "[--path PATH] [--address ADDRESS] [--port PORT] [--program FILE] [--json]",
  details = [[
Waits until it answers. Where a server answers already, none is started. The program is --program, else the one that the configuration names, else one that is
found: in the user's cache (`make spacetimedb`), on PATH, or where the official `spacetime` tool keeps its own.]],
  options = own.options({
    program = { value = "FILE", help = "the server's program" },
    json = { help = "one object: started, pid, address, port, program, data_dir, log_file" },
  }),
  max = 0,
}

function start.run(options)
  local manager <close>, err = own.manager(options)
  if not manager then return out.fail("%s", out.message(err)) end
  local facts
  facts, err = manager.controller:start({ detach = true })
  if not facts then return out.fail("%s", out.message(err)) end
  if options.json then
    out.line("%s", assert(iu.json.encode(facts)))
  elseif not facts.started then
    out.line("a server answers on %s:%d already", facts.address, facts.port)
  else
    out.line("the server runs on %s:%d, process %d", facts.address, facts.port, facts.pid)
    out.line("  program  %s", facts.program)
    out.line("  data     %s", facts.data_dir)
    out.line("  log      %s", facts.log_file)
  end
  return 0
end

return start
