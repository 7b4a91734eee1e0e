-- plugins.lua: `iu plugins`: what would run, and why something would not. Nothing is started.

local iu = require("inner_universe")
local out = require("inner_universe.cli.out")

local plugins = {
  summary = "the plugins that would run, and where they are",
  usage = "[--config FILE] [--json]",
  details = [[
Reads the manifests and validates the configuration; starts nothing. Exit status 1 when a plugin is refused.]],
  options = {
    config = { value = "FILE", help = "a configuration, .json or .lua (default: the environment's)" },
    json = { help = "an array of objects" },
  },
  max = 0,
}

local function print_table(rows)
  local cells = {}
  for i, row in ipairs(rows) do
    cells[i] = { row.name, row.version or "?", row.state, table.concat(row.requires, ", "), row.reason or row.description or "" }
  end
  out.write(out.table({ "plugin", "version", "state", "requires", "" }, cells, { width = out.is_terminal() and out.width() or nil }))
  for _, row in ipairs(rows) do
    out.line("%s: %s", row.name, row.folder or "not found")
  end
end

function plugins.run(options)
  local config, err = iu.config(options.config)
  if not config then return out.fail("%s", out.message(err)) end
  local rows
  rows, err = iu.plugins(config)
  if not rows then return out.fail("%s", out.message(err)) end
  if options.json then
    for _, row in ipairs(rows) do
      row.requires = iu.array(row.requires)
      row.config = row.config and iu.object(row.config)
    end
    out.line("%s", assert(iu.json.encode(iu.array(rows))))
  else
    print_table(rows)
  end
  for _, row in ipairs(rows) do
    if row.state == "refused" then return 1 end
  end
  return 0
end

return plugins
