-- Testing a program of one's own: a mock, a fixture, a clock.
--
--   iu run testing.lua [TARGET]       TARGET: memory: (default), or a file: where the program runs for real at the end

local iu = require "inner_universe"
local testing = assert(iu.testing()) -- no universe is needed for it

-- The program: reminds everybody who has not been seen for a day, waits, and tries once more where that failed.
local function remind(manager)
  local sent, failed = 0, 0
  for _, person in ipairs(assert(manager:query_entities { entity_type = "Person" })) do
    if iu.now() - (person.metadata.properties.seen or 0) > 86400000000 then
      local ok = manager:publish_event("REMINDED", { person = person.id })
      if not ok then
        iu.sleep(600)
        ok = manager:publish_event("REMINDED", { person = person.id })
      end
      sent, failed = sent + (ok and 1 or 0), failed + (ok and 0 or 1)
    end
  end
  return sent, failed
end

-- A mock answers what it is told to, and says what it was asked. It has the methods of a manager, and no others.
local mock = assert(testing.mock())
mock:when("query_entities", testing.like { entity_type = "Person" }):returns {
  { id = "ada", metadata = { properties = {} } }, { id = "bob", metadata = { properties = { seen = iu.now() } } },
}
mock:when("publish_event", "REMINDED", testing.any):returns "an id"
print("mock:", remind(mock))
print("asked for ada:", mock:called("publish_event", "REMINDED", { person = "ada" }), "and bob:", mock:called("publish_event", "REMINDED", { person = "bob" }))
print(select(2, pcall(function() return mock.publish_evnt end)):match("a manager.*"))

-- A fixture is a real universe in memory. A clock makes ten minutes pass in no time; failures come on demand.
local clock = assert(testing.fake_clock { now = 1700000000000000 })
testing.seed(1)
local manager = assert(testing.fixture {
  entities = { { id = "ada", entity_type = "Person" }, { id = "bob", entity_type = "Person", metadata = { properties = { seen = iu.now() } } } },
})
assert(testing.fail(manager, "publish_event", "TimeoutError", { times = 1 }))
local began = iu.now()
print("fixture:", remind(manager))
print("seconds later:", (iu.now() - began) // 1000000)
clock:advance(2 * 86400)
print("two days later:", remind(manager))
print("ids come again:", iu.uuid())
assert(testing.clean())

-- And in a universe that stays.
local real <close> = assert(iu.open(... or "memory:"))
assert(real:create_entity("Person", { name = "Ada" }))
print("for real:", remind(real))
