-- query.lua: `iu query FILE SQL`: all of SQLite's SQL over the tables of a universe file, read-only. The universe is folded first when it
-- was not closed properly, so that the tables are up to date; the file is free again before the first row is printed.

local out = require("inner_universe.cli.out")
local rows = require("inner_universe.cli.rows")
local universe_file = require("inner_universe.cli.universe_file")

local query = {
  summary = "ask a universe file in SQL",
  usage = 'FILE "SELECT ..." [--json | --table | --tsv]',
  details = [[
All of SQLite's SQL, read-only: joins, aggregates, json_extract(metadata, '$.name'), ... `-` reads the SQL from standard input.
Each table has one column per field, nested values as JSON. On a terminal rows are aligned and cut to its width; in a pipe they are lines
of values with tabs between them, the names first; there NULL is empty, tab, newline and backslash are \t, \n, \\, and bytes are X'..'.
A universe that was not closed properly is opened and closed first, so that its tables are up to date; one that is in use is refused,
and so is one in a folder that cannot be written: `iu backup` makes a copy of it that can be asked.

  iu query world.universe "SELECT entity_type, count(*) FROM entity GROUP BY 1"
  iu query world.universe "SELECT name FROM sqlite_schema WHERE type = 'table'"
  iu query world.universe "SELECT id, json_extract(metadata, '$.name') AS name FROM entity" --json]],
  options = rows.options(),
  min = 2,
  max = 2,
}

function query.run(options, arguments)
  local path, wrong = universe_file.find(arguments[1])
  if not path then return out.fail("%s", wrong) end
  local sql = rows.sql(arguments[2])
  if not sql then return out.fail("no SQL") end
  local ok, err = universe_file.settle(path)
  if not ok then return out.fail("%s", out.message(err)) end
  local result
  result, err = universe_file.sql(path, sql)
  if not result then return out.fail("%s", out.message(err)) end
  rows.print(result, options)
  return 0
end

return query
