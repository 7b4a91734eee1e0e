-- Migrations: numbered files bring a universe to what the program expects, and back. They are in migrations/ beside this file.
--
--   iu run migrate.lua [TARGET]        TARGET: memory: (default), or a file
--
-- From a shell: iu migrate status TARGET --folder scripts/examples/migrations, and plan, up, down, ...

local iu = require "inner_universe"

local folder = debug.getinfo(1, "S").source:match("^@(.*)[/\\]") .. "/migrations"
local manager <close> = assert(iu.open(... or "memory:", { plugins = { migrations = { folder = folder, on_pending = "ignore" } } }))
local migrations = assert(manager:plugin("migrations"))

local function tell(report)
  for _, each in ipairs(report.done) do print(("%s %s: %d rows"):format(each.direction, each.name, each.rows)) end
end

local function person(id)
  local properties = assert(manager:get_entity(id)).metadata.properties
  print(("%s: born %s (%s), century %s"):format(id, properties.born, math.type(properties.born) or type(properties.born), properties.century))
end

-- What would be done, with nothing done yet.
for _, each in ipairs(assert(migrations:plan()).migrations) do
  print(("%s%s: %s"):format(each.name, each.online and ", online" or "", each.steps[1].text))
end

-- As far as the first; the rest is executed and undone; then for good.
tell(assert(migrations:up { to = 1 }))
person("ada")
print(#assert(migrations:up { to = 2, dry_run = true }).done .. " would be applied")
tell(assert(migrations:up()))
person("ada")
print(("%d applied, %d pending"):format(assert(migrations:status()).applied, assert(migrations:status()).pending))

-- And one step back.
tell(assert(migrations:down()))
person("alan")
