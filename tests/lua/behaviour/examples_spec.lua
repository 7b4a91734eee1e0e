-- The examples run, print what they promise, and leave in the universe what they say.

local iu = require "inner_universe"
local command = require "command"
local support = require "support"

-- Runs an example in this state, its `print` caught; what it printed.
local function run(name, target)
  local lines = {}
  local environment = setmetatable({
    print = function(...)
      local parts = table.pack(...)
      for i = 1, parts.n do
        parts[i] = tostring(parts[i])
      end
      lines[#lines + 1] = table.concat(parts, "\t")
    end,
  }, { __index = _G, __newindex = function(_, key) error("the example sets the global " .. key, 2) end })
  assert(loadfile(("scripts/examples/%s.lua"):format(name), "t", environment))(target)
  return table.concat(lines, "\n") .. "\n"
end

local PRINTS = {
  entities = [[
John Doe, 30 years old, john@example.com
  works for Acme as Engineer
John Doe, 31 years old, john@example.com
  works for Acme as Engineer
1 employee over 30
nil	ConflictError
EntityNotFoundError
]],
  -- The hashes are what Python's hashlib makes of json.dumps(state, sort_keys=True).
  versions = [[
current: One more item
it is the second: true, after the first: true
Initial state: value 42, items a b c
  173c06770bf1fb9e87030c480689ab0d99532e6752c2d1b9c559b093f190d264
One more item: value 43, items a b c d
  12f90dfbbd9d903108c41207bcad4c00da466fb3d3a6130508cff6a8d79ef879
]],
  branches = [[
~ doors: [{"id":1,"open":false},{"id":2,"open":false},{"id":3,"open":true}] -> [{"id":1,"open":true},{"id":2,"open":false}]
~ size.w: 12 -> 10
~ title: "The level" -> "The level at night"

merged: The level at night, 12 wide, 3 doors, the first is open
doors.0.id	1	ada
doors.0.open	true	bob
doors.1.id	2	ada
doors.1.open	false	ada
doors.2.id	3	ada
doors.2.open	true	ada
size.h	10	ada
size.w	12	ada
title	"The level at night"	bob
]],
  workflow = [[
two orders, and the program ends
  order-1: 30 is paid
  order-1: is booked
  order-2: 50 is paid
  order-2: is booked
opened again
  order-1: 1.5 kg are sent
order-1: lamp, 1.5 kg
  order-2: 50 is paid back
order-2:	ValidationError: nothing to send: it broke
order-2 has failed, with an entity: false
order-1 has completed, with an entity: true
]],
  events = [[
USER_ACTION: user 123 does login (told by auth_service)
  the log has a new USER_ACTION
  the log has a new ENTITY_CREATED
  the log has a new USER_ACTION
2 user actions in the log
]],
  cache = [[
made 1 time, power 550
still 550
after a change 1550
2 computed, 4 waited, 3 hits
]],
  copy = [[
2 entities, 1 relation; equal: true
the same id and time: true, its properties: {"big": 9007199254740993, "share": 0.1}
equal: false; different: 1, it is Ada: true
after the second copy: Ada Lovelace
imported: 2 entities; equal: true
]],
  batch = [[
99 sensors in 2 batches
refused: ConflictError, id: entity "sensor 1" exists already
sensor 50 reads 21.5
]],
  testing = [[
mock:	1	0
asked for ada:	1	and bob:	0
a manager has no `publish_evnt` (did you mean 'publish_event'?)
fixture:	1	0
seconds later:	600
two days later:	2	0
ids come again:	018bda3b-47c0-71cf-b850-2331eb8f1717
for real:	1	0
]],
  security = [[
read with the key:	ada@example.com
stored:	sealed:1:	nil
audit:	36	[redacted]
ValidationError
nil	ValidationError: Person: properties.age: -1, expected a number from 0
a guest may create people:	true
after the first rule:	false
as a clerk:	true	and places:	false
role:clerk	create_entity	Person
]],
  migrate = [[
0001_people: create entity Person
0002_born_is_a_number: update entities of type Person
0003_century, online: update entities of type Person
up 0001_people: 0 rows
ada: born 1815 (string), century nil
1 would be applied
up 0002_born_is_a_number: 2 rows
up 0003_century: 2 rows
ada: born 1815 (integer), century 19
3 applied, 0 pending
down 0003_century: 2 rows
alan: born 1912 (integer), century nil
]],
  metrics = [[
the warehouse agrees: false, it is 1 version behind
iu_method_calls_total{method="create_entity"} 5
iu_state_lag_versions{system="warehouse",branch="main"} 1
parcel_kilograms_bucket{le="1"} 1
parcel_kilograms_bucket{le="5"} 2
parcel_kilograms_bucket{le="20"} 4
parcel_kilograms_bucket{le="+Inf"} 4
parcel_kilograms_sum 30
parcel_kilograms_count 4
parcels_shipped_total{by="air"} 3
parcels_shipped_total{by="sea"} 1
]],
  fallback = [[
roof	22.0
cellar	15.0
attic	EntityNotFoundError
online	0	0
]],
  selective = [[
look here is in memory only
spark 1 is in memory only
spark 2 is in memory only
spark 3 is in memory only
the note is persisted
trails: 13 persisted, 37 dropped
ticks: 10 of 100 in the log
3 entities in memory
]],
  pool = [[
most at once: 2 of 2
nothing came free: TimeoutError
a task that died has given back: true
leases: 8, given back: 7, ended with a task: 1
]],
  consumers = [[
order 1, tea: attempt 1
order 2, coffee: attempt 1
order 3, a broken cup: attempt 1
order 3, a broken cup: attempt 2
order 4, milk: attempt 1
given up after 2 attempts: a broken cup
left over: sugar
0 events behind
tea: 3 left
3 parcels
]],
  play_arena = [[
Ada enters the arena (spawn)
nil	ConflictError: you are playing already
nil	ValidationError: name: 2 characters or more expected
Bob enters the arena (spawn)
coin 1 is picked up
coin 2 is picked up
coin 3 is picked up
coin 4 is picked up
coin 5 is picked up
5 coins collected
]],
}

-- Examples that start programs, which leak under a preloaded sanitizer.
local LEFT_OUT = os.getenv("INNER_UNIVERSE_TEST_SANITIZED") == "1" and { security = true } or {}

describe("the example", function()
  after_each(support.clean)

  for _, name in ipairs({ "entities", "versions", "branches", "events", "consumers", "cache", "batch", "testing", "metrics", "copy", "fallback", "selective",
    "pool" }) do
    it(name .. " prints what it promises", function()
      assert.equal(PRINTS[name], run(name, support.target()))
    end)
  end

  for _, name in ipairs({ "security", "migrate" }) do
    it(name .. " prints what it promises to the owner", function()
      if LEFT_OUT[name] then return end
      local target = support.target()
      local token = support.token(target)
      local result = command.sh(("%s scripts/iu run scripts/examples/%s.lua %s"):format(
        token and "INNER_UNIVERSE_TOKEN=" .. command.quote(token) or "", name, command.quote(target)))
      assert.same({ 0, "", PRINTS[name] }, { result.status, result.err, result.out })
    end)
  end

  it("workflow goes on after its program has ended", function()
    assert.equal(PRINTS.workflow, run("workflow", support.target()))
  end)

  it("play_arena plays a game whose rules are a module", function()
    if support.on_server then return end -- a server has its own module
    assert.equal(PRINTS.play_arena, run("play_arena", support.target()))
  end)

  it("each runs in memory when no target is given", function()
    for name, text in pairs(PRINTS) do
      if not LEFT_OUT[name] then assert.equal(text, run(name, nil)) end
    end
  end)

  it("in C prints what it promises", function()
    local built = os.getenv("INNER_UNIVERSE_TEST_SANITIZED") == "1" and "build/asan" or "build/test"
    local result = command.sh(("%s/examples/entities %s"):format(built, command.quote(support.target())))
    assert.equal("", result.err)
    assert.equal(0, result.status)
    assert.equal([[
arrives: Ada
arrives: Brunel
refused: create_entity takes 3 arguments, got 1: crea...
held: 2, in the universe: 2
leaves: X
leaves: X
arrived 2, changed 0, left 2
]], (result.out:gsub("leaves: %a+", "leaves: X"))) -- in the order of their ids, which are made within a millisecond
  end)

  if not support.on_file then return end -- nothing is left of memory:

  it("entities leaves the company and the audit trail in the file", function()
    local target = support.target()
    run("entities", target)
    local m = support.open(nil, target)
    local left = assert(m:query_entities({}))
    assert.equal(1, #left)
    assert.equal("Acme", left[1].metadata.name)
    assert.equal(1999, left[1].metadata.properties.founded)
  end)

  it("versions leaves both versions, the delta and the current state in the file", function()
    local target = support.target()
    run("versions", target)
    local m = support.open(nil, target)
    local current = assert(m.temporal_store:get_current_version())
    support.exactly({ name = "Test state", data = { value = 43, items = { "a", "b", "c", "d" } } },
      assert(m.temporal_store:get_state(current.version_id)))
    local deltas = assert(m.client:query_deltas(current.parent_version_id))
    support.exactly(iu.array({
      { op = "insert", path = "data.items", index = 3, value = "d" },
      { op = "set", path = "data.value", value = 43 },
    }), deltas[1].operations)
  end)

  it("events leaves the user's actions in the file, in order", function()
    local target = support.target()
    run("events", target)
    local m = support.open(nil, target)
    local rows = assert(m.client:query("SELECT * FROM event_log WHERE event_type = 'USER_ACTION'"))
    table.sort(rows, function(a, b) return a.sequence < b.sequence end)
    local actions = {}
    for i, row in ipairs(rows) do actions[i] = assert(iu.json.decode(row.data)).action end
    assert.same({ "login", "logout" }, actions)
  end)
end)
