-- Events: a user action is published, kept in the log, and handlers hear of it.
--
--   iu run events.lua [TARGET]        TARGET: memory: (default), or a file

local iu = require "inner_universe"
local manager <close> = assert(iu.open(... or "memory:"))
local bus = manager.event_bus

-- A handler hears one type of event, or "*" for all. A message has id, type, source, timestamp (microseconds) and data.
local handle = assert(bus:register_handler("USER_ACTION", function(message)
  print(("%s: user %d does %s (told by %s)"):format(message.type, message.data.user_id, message.data.action, message.source))
end))
assert(bus:register_handler("*", function(message)
  print(("  the log has a new %s"):format(message.type))
end))

assert(bus:publish("USER_ACTION", { user_id = 123, action = "login" }, "auth_service"))

-- What changes the world is an event too.
assert(manager:create_entity("Session", { properties = { user_id = 123 } }))

-- A handler that is not wanted any more is cancelled; the others go on.
handle:cancel()
assert(bus:publish("USER_ACTION", { user_id = 123, action = "logout" }, "auth_service"))

-- The log itself can be asked: everything is there, heard or not.
local count = #assert(manager.client:query("SELECT * FROM event_log WHERE event_type = 'USER_ACTION'"))
print(("%d user actions in the log"):format(count))
