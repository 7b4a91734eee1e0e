-- describe.lua: `iu server describe [DATABASE]`: what a module offers: tables with their columns and indexes, reducers and procedures with signatures.

local iu = require("inner_universe")
local out = require("inner_universe.cli.out")
local where = require("inner_universe.cli.server.where")

local describe = {
  summary = "what a database offers: tables, reducers, procedures",
  usage = "[DATABASE] [--json]",
  details = "",
  options = where.options({ json = { help = "one object: tables, reducers and procedures by name" } }),
  max = 1,
}

local function sorted(map)
  local names = {}
  for name in pairs(map) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

-- Lists stay lists when they are empty.
local function mark_lists(schema)
  for _, def in pairs(schema.tables) do
    iu.array(def.columns)
    iu.array(def.indexes)
  end
  for _, kind in ipairs({ "reducers", "procedures" }) do
    for _, def in pairs(schema[kind]) do
      iu.array(def.params)
    end
  end
  for _, kind in ipairs({ "tables", "reducers", "procedures" }) do
    iu.object(schema[kind])
  end
  return schema
end

local function print_table(name, def)
  local facts = { def.public and "public" or "private" }
  if def.view then facts[#facts + 1] = "a view" end
  if def.primary_key then facts[#facts + 1] = "primary key " .. def.primary_key end
  out.line("  %s (%s)", name, table.concat(facts, ", "))
  local width = 0
  for _, column in ipairs(def.columns) do
    width = math.max(width, out.columns(column[1]))
  end
  for _, column in ipairs(def.columns) do
    out.line("    %s%s  %s", column[1], (" "):rep(width - out.columns(column[1])), column[2])
  end
  for _, index in ipairs(def.indexes) do
    out.line("    %s %s (%s)", index.unique and "unique index" or "index", index.accessor, table.concat(index.columns, ", "))
  end
end

local function print_functions(title, map)
  local names = sorted(map)
  if #names == 0 then return end
  out.line("")
  out.line("%s", title)
  for _, name in ipairs(names) do
    out.line("  %s%s", map[name].signature, map[name].lifecycle and "  (called by the server: " .. map[name].lifecycle .. ")" or "")
  end
end

function describe.run(options, arguments)
  local http, database = where.find(options, arguments[1])
  if not http then return out.fail("%s", out.message(database)) end
  local schema, err = http:describe(database)
  if not schema then return out.fail("%s", out.message(err)) end
  if options.json then
    out.line("%s", assert(iu.json.encode(mark_lists(schema))))
    return 0
  end
  out.line("tables")
  for _, name in ipairs(sorted(schema.tables)) do
    print_table(name, schema.tables[name])
  end
  print_functions("reducers", schema.reducers)
  print_functions("procedures", schema.procedures)
  return 0
end

return describe
