-- import.lua: `iu import FILE TO`: the rows of an export in a universe (the plugin transfer).

local out = require("inner_universe.cli.out")
local transfer = require("inner_universe.cli.transfer")

local import = {
  summary = "bring the rows of an export into a universe",
  usage = "FILE.jsonl[.gz] TO [--merge | --overwrite] [--conflicts WAY] [--verify] [--dry-run]",
  details = [[
TO is a universe file (made when it is not there) or ws://host:port/database. A file that was cut or changed is refused, with the line, before
anything is written. An import that was interrupted goes on when the same command is given again. --merge, --overwrite, --conflicts, --verify: as
with `iu copy`, the exit status too.]],
  options = transfer.options({
    ["to-token"] = { value = "FILE", help = "of TO, a server: the file of the token" },
    conflicts = { value = "WAY", help = "keep (with --merge): rows of TO stay; replace (with --overwrite): they give way; refuse" },
    merge = { help = "add to what is there; rows that differ are refused" },
    overwrite = { help = "rows of FILE win" },
    restart = { help = "with --overwrite: begin anew over an unfinished copy of something else" },
    verify = { help = "compare afterwards" },
    ["dry-run"] = { help = "check the file, write nothing" },
  }),
  min = 2,
  max = 2,
}

function import.run(options, arguments)
  local path, to = arguments[1], arguments[2]
  local mode = transfer.mode(options)
  if not mode then return 2 end
  return transfer.with(function(plugin)
    local report, err = plugin:import(path, to, {
      mode = mode, conflicts = options.conflicts, restart = options.restart, verify = options.verify,
      dry_run = options["dry-run"], progress = transfer.progress("importing"), to_options = transfer.end_options(options, to, "to"),
    })
    if not report then return nil, err end
    out.clear()
    transfer.print(report, options, report.dry_run and "the file is whole; nothing was written" or transfer.told(to, report.written, report))
    return transfer.status(report)
  end, options["dry-run"] and "nothing was written" or transfer.GOES_ON)
end

return import
