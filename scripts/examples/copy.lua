-- Copying: a universe's rows in another one, as they were; what changed since, brought behind; an export, and the proof that all are equal.
--
--   iu run copy.lua [TARGET]        TARGET: memory: (default), or a file

local iu = require "inner_universe"
local manager <close> = assert(iu.open(... or "memory:", { plugins = { transfer = true } }))
local transfer = assert(manager:plugin("transfer"))

local ada = assert(manager:create_entity("Person", { name = "Ada", properties = { big = 9007199254740993, share = 0.1 } }))
local acme = assert(manager:create_entity("Company", { name = "Acme" }))
assert(manager:create_relation(ada, acme, "WORKS_FOR"))

-- To another universe: here one in memory; a path or ws://host:port/database will do as well.
local other <close> = assert(iu.connect("memory:"))
local report = assert(transfer:copy(manager, other, { verify = true }))
print(("%d entities, %d relation; equal: %s"):format(report.tables.entity.rows, report.tables.relation.rows, report.verified.equal))

-- Ids, times and owners are what they were.
local there, here = assert(other:get("entity", ada)), assert(manager:get_entity(ada))
print(("the same id and time: %s, its properties: %s"):format(there.id == ada and there.created_at == here.created_at,
  iu.json.canonical(assert(iu.json.decode(there.metadata.properties)))))

-- Something changes. What differs has a name, and overwriting brings the copy up to date.
assert(manager:update_entity(ada, { name = "Ada Lovelace" }))
local proof = assert(transfer:verify(manager, other, { tables = { "entity" } }))
print(("equal: %s; different: %d, it is Ada: %s"):format(proof.equal, proof.tables.entity.differences.different,
  proof.tables.entity.differences.keys.different[1] == ada))
assert(transfer:copy(manager, other, { mode = "overwrite", verify = true }))
print("after the second copy: " .. assert(other:get("entity", ada)).metadata.name)

-- As a file of JSON lines, whose every row carries its hash. (On the command line: iu copy, iu export, iu import.)
local path = os.tmpname()
assert(transfer:export(manager, path, { tables = { "entity", "relation" } }))
local third <close> = assert(iu.connect("memory:"))
assert(transfer:import(path, third, { verify = true }))
print(("imported: %d entities; equal: %s"):format(#assert(third:query("SELECT * FROM entity")),
  assert(transfer:verify(manager, third, { tables = { "entity", "relation" } })).equal))
os.remove(path)
