-- rows.lua: what lies between users' values and rows, in one place for the manager, its client, transactions, views of the past and subscriptions: the
-- class `rows`, whose methods do nothing themselves and are there for their hooks (`rows.write`, `rows.read`, `rows.select`).
--
--   write(kind, value, key, type, type_of)   what a user wants to store, as given: metadata (kind "entity", "relation") or an event's data ("event"), or
--                                            nil, err. key: the row's; type: entity_type, relation_type, event_type; nil in an update, where
--                                            type_of(kind, key) answers it (nil: no such row)
--   read(kind, row)                          a row as users get it, JSON decoded, its tables nobody else's: they may be changed. The row, or nil, err
--   select(kind, selection)                  what is about to be asked of conn:select. It, or nil, err. Of "event" only the event bus asks: { filters,
--                                            types }, where types:match(event_type) says whether events of a type are meant
--
-- Types of arguments are checked later: a hook leaves alone what it does not know. Without hooks each costs one call of a function.

local rows = {}

local NONE = { active = false }
local object, writing, reading, selecting = nil, NONE, NONE, NONE

---Makes the class; once per universe, before anything is read or written. The object that plugins use who read or write rows past the manager; its
---`reading.active` says whether `read` has hooks, for those who read many rows.
function rows.start(ctx)
  local methods = {}
  function methods:write(_, value, _, _, _) return value end -- luacheck: ignore 212
  function methods:read(_, row) return row end -- luacheck: ignore 212
  function methods:select(_, selection) return selection end -- luacheck: ignore 212
  local class = ctx.hooks.class("rows", methods, {})
  writing, reading, selecting = class.hooked("write"), class.hooked("read"), class.hooked("select")
  object = class.new { reading = reading }
  return object
end

--- The value to store; nil, err when err is not nil.
function rows.write(kind, value, key, type_name, type_of)
  if writing.active then return object:write(kind, value, key, type_name, type_of) end
  return value
end

function rows.read(kind, row)
  if reading.active then return object:read(kind, row) end
  return row
end

function rows.select(kind, selection)
  if selecting.active then return object:select(kind, selection) end
  return selection
end

return rows
