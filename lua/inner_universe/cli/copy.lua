-- copy.lua: `iu copy FROM TO`: all rows of a universe in another one, as they are (the plugin transfer).

local out = require("inner_universe.cli.out")
local transfer = require("inner_universe.cli.transfer")

local copy = {
  summary = "copy the rows of a universe to another one",
  usage = "FROM TO [--tables NAMES | --except NAMES] [--since TIME] [--merge | --overwrite [--delete]] [--conflicts WAY] [--verify] [--verify-only] "
    .. "[--dry-run]",
  details = [[
FROM and TO are universe files or ws://host:port/database. Ids, times and owners stay as they were; what is copied is FROM at one moment. TO must be
empty, new, or told how: --merge adds what is missing and refuses rows that differ, --overwrite takes FROM's rows, with --delete also what it does
not have. A copy that was interrupted goes on when the same command is given again. --verify reads TO again and compares hashes; --verify-only does
nothing else, both ways, and names keys of what differs. Servers are reached as the identity whose token is given (INNER_UNIVERSE_TOKEN, the two
options) or kept by connections.
Rows in conflict (with --merge those that both have, but differently; a value that must be unique and is another row's in TO) end a copy before it
begins; --conflicts keep leaves them out, --conflicts replace removes the rows of TO that are in the way. Both are told.
Exit status: 0 done, and equal where that was asked; 1 not; 3 done, but rows were left out (--conflicts keep).

  iu copy world.universe ws://127.0.0.1:3000/world --verify]],
  options = transfer.choosing({
    ["from-token"] = { value = "FILE", help = "of FROM, a server: the file of the token" },
    since = { value = "TIME", help = "only rows changed since: 2026-11-27T10:00:00Z, or microseconds; tables without such a time come whole" },
    ["to-token"] = { value = "FILE", help = "of TO, a server: the file of the token" },
    conflicts = { value = "WAY", help = "keep (with --merge): rows of TO stay; replace (with --overwrite): they give way; refuse" },
    merge = { help = "add to what is there; rows that differ are refused" },
    overwrite = { help = "rows of FROM win" },
    delete = { help = "with --overwrite: remove rows that FROM does not have" },
    restart = { help = "with --overwrite: begin anew over an unfinished copy of something else" },
    verify = { help = "compare afterwards" },
    ["verify-only"] = { help = "compare, write nothing" },
    ["dry-run"] = { help = "tell what would be copied, write nothing" },
  }),
  min = 2,
  max = 2,
}

local function verify(plugin, options, from, to)
  local report, err = plugin:verify(from, to, {
    tables = transfer.names(options, "tables"), except = transfer.names(options, "except"),
    from_options = transfer.end_options(options, from, "from"), to_options = transfer.end_options(options, to, "to"),
  })
  if not report then return nil, err end
  out.clear()
  transfer.print(report, options, report.equal and "equal" or "different: " .. report.words)
  return report.equal and 0 or 1
end

local function run(plugin, options, mode, from, to)
  local report, err = plugin:copy(from, to, {
    tables = transfer.names(options, "tables"), except = transfer.names(options, "except"),
    since = options.since, mode = mode, conflicts = options.conflicts,
    delete = options.delete, restart = options.restart, verify = options.verify, dry_run = options["dry-run"], progress = transfer.progress("copying"),
    from_options = transfer.end_options(options, from, "from"), to_options = transfer.end_options(options, to, "to"),
  })
  if not report then return nil, err end
  out.clear()
  transfer.print(report, options, report.dry_run and "nothing was written" or transfer.told(to, report.rows, report))
  return transfer.status(report)
end

function copy.run(options, arguments)
  local mode = transfer.mode(options)
  if not mode then return 2 end
  return transfer.with(function(plugin)
    if options["verify-only"] then return verify(plugin, options, arguments[1], arguments[2]) end
    return run(plugin, options, mode, arguments[1], arguments[2])
  end, options["verify-only"] and "not compared to the end" or options["dry-run"] and "nothing was written" or transfer.GOES_ON)
end

return copy
