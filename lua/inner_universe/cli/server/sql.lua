-- sql.lua: `iu server sql DATABASE SQL`: the server's own SQL over a database.

local out = require("inner_universe.cli.out")
local rows = require("inner_universe.cli.rows")
local where = require("inner_universe.cli.server.where")

local sql = {
  summary = "ask a database in the server's SQL",
  usage = 'DATABASE "SELECT ..." [--json | --table | --tsv]',
  details = [[
SELECT of columns, COUNT(*) AS n, WHERE, joins, LIMIT; for its owner INSERT, UPDATE and DELETE too. `-` reads the SQL from standard input. Rows are printed
as by `iu query`: aligned on a terminal, with tabs between the values in a pipe; nested values are JSON, times are microseconds.

  iu server sql my-world "SELECT id, entity_type FROM entity LIMIT 10"]],
  options = where.options(rows.options()),
  min = 2,
  max = 2,
}

-- Rows by name to rows in the columns' order; an array of U8 is bytes, also where they happen to be text.
local function printable(result)
  local names, list = {}, {}
  for i, column in ipairs(result.columns) do
    names[i] = column[1]
  end
  for r, row in ipairs(result.rows) do
    list[r] = {}
    for i, column in ipairs(result.columns) do
      local value = row[column[1]]
      list[r][i] = type(value) == "string" and column[2] == "Array<U8>" and rows.hex(value) or value
    end
  end
  return { columns = names, rows = list }
end

local function print_changes(result, options)
  local changes = {}
  for _, what in ipairs({ "inserted", "updated", "deleted" }) do
    local count = result["rows_" .. what] or 0
    if count > 0 then changes[#changes + 1] = ("%s %s"):format(out.count(count, "row"), what) end
  end
  if not options.json then out.line("%s", #changes > 0 and table.concat(changes, ", ") or "done") end
end

function sql.run(options, arguments)
  local http, database = where.find(options, arguments[1])
  if not http then return out.fail("%s", out.message(database)) end
  local text = rows.sql(arguments[2])
  if not text then return out.fail("no SQL") end
  local found, facts = http:sql(database, text)
  if not found then return out.fail("%s", out.message(facts)) end
  for _, result in ipairs(facts.results) do
    if #result.columns > 0 then
      rows.print(printable(result), options)
    else
      print_changes(result, options)
    end
  end
  return 0
end

return sql
