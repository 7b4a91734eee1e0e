-- delete.lua: `iu server delete DATABASE --yes`: a database and everything in it.

local out = require("inner_universe.cli.out")
local where = require("inner_universe.cli.server.where")

local delete = {
  summary = "delete a database and everything in it",
  usage = "DATABASE --yes",
  details = "",
  options = where.options({ yes = { help = "really" } }),
  min = 1,
  max = 1,
}

function delete.run(options, arguments)
  local http, database = where.find(options, arguments[1])
  if not http then return out.fail("%s", out.message(database)) end
  if not options.yes then
    out.error(("this deletes everything in %s on %s; --yes does it"):format(database, http.url))
    return 2
  end
  local ok, err = http:delete(database)
  if not ok then return out.fail("%s", out.message(err)) end
  out.line("deleted %s on %s", database, http.url)
  return 0
end

return delete
