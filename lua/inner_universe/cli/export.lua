-- export.lua: `iu export FROM FILE`: the rows of a universe as JSON lines (the plugin transfer).

local out = require("inner_universe.cli.out")
local transfer = require("inner_universe.cli.transfer")

local export = {
  summary = "write the rows of a universe as JSON lines",
  usage = "FROM FILE.jsonl[.gz] | - [--tables NAMES | --except NAMES] [--since TIME]",
  details = [[
FROM is a universe file, which is only read, or ws://host:port/database. A header line, a line for each row with its hash, and a last line with the
rows and the hash of each table, so that `iu import` finds what was cut or changed. With .gz at its end the file is compressed. It appears under its
name when it is whole and on disk; - is standard output. The format is in plugins/transfer/README.md.

  iu export world.universe world.jsonl.gz]],
  options = transfer.choosing({
    ["from-token"] = { value = "FILE", help = "of FROM, a server: the file of the token" },
    since = { value = "TIME", help = "only rows changed since: 2026-11-27T10:00:00Z, or microseconds; tables without such a time come whole" },
  }),
  min = 2,
  max = 2,
}

function export.run(options, arguments)
  local from, path = arguments[1], arguments[2]
  local to_stdout = path == "-" or path == "/dev/stdout" -- the name would be opened a second time, and cut
  return transfer.with(function(plugin)
    local report, err = plugin:export(from, to_stdout and io.stdout or path, {
      tables = transfer.names(options, "tables"), except = transfer.names(options, "except"), since = options.since,
      progress = not to_stdout and transfer.progress("exporting") or nil,
      from_options = transfer.end_options(options, from, "from"),
    })
    if not report then return nil, err end
    if to_stdout then
      for _, note in ipairs(transfer.notes(report)) do io.stderr:write(note, "\n") end
      return 0
    end
    out.clear()
    transfer.print(report, options, ("%s: %s, %s"):format(path, out.bytes(report.bytes), transfer.amount(report.rows, report)))
    return 0
  end, to_stdout and "what came is not whole" or "nothing was written")
end

return export
