-- Rules, sealed fields and schemas.
--
--   iu run security.lua [TARGET]      TARGET: memory: (default), or a file

local iu = require "inner_universe"

local target = ... or "memory:"

-- A key of 32 bytes in a file that nobody else can read. Yours comes from `openssl rand -hex 32` and stays where it is.
local key_file = os.tmpname()
assert(os.execute(("umask 077 && rm -f '%s' && od -An -N32 -tx1 /dev/urandom | tr -d ' \\n' >'%s'"):format(key_file, key_file)))

local manager <close> = assert(iu.open(target, {
  plugins = { security = {
    keys = { { file = key_file } },
    sealed = { entity = { "properties.email" } },
    schemas = { Person = { properties = { age = { type = "integer", minimum = 0 } }, required = { "age" } } },
  } },
}))
os.remove(key_file)
local security = manager.security

-- What is written is sealed on its way, and open for who has the key.
local ada = assert(manager:create_entity("Person", { name = "Ada", properties = { age = 36, email = "ada@example.com" } }))
print("read with the key:", manager:get_entity(ada).metadata.properties.email)
local row = manager.client:connection():get("entity", ada)
print("stored:", (row.metadata.properties:match("sealed:1:")), row.metadata.properties:find("example.com", 1, true))

-- The audit event of a change does not show it, and nobody filters by it.
assert(manager:update_entity(ada, { name = "Ada", properties = { age = 37, email = "countess@example.com" } }))
for _, event in ipairs(manager.event_bus:events { type = "ENTITY_UPDATED" }) do
  print("audit:", event.data.old_metadata.properties.age, event.data.old_metadata.properties.email)
end
print(select(2, manager:query_entities { filters = { { field = "properties.email", operator = "Equals", value = "ada@example.com" } } }).kind)

-- Properties are what the schema says, or nothing is written.
print(manager:create_entity("Person", { name = "Nobody", properties = { age = -1 } }))

-- While an action has no rule everybody may; with the first one its holders only. Roles hold rules, too.
local guest = ("0"):rep(63) .. "1"
print("a guest may create people:", security:can(guest, "create_entity", "Person"))
assert(security:grant("role:clerk", "create_entity", "Person"))
print("after the first rule:", security:can(guest, "create_entity", "Person"))
assert(security:add_to_role(guest, "clerk"))
print("as a clerk:", security:can(guest, "create_entity", "Person"), "and places:", security:can(guest, "create_entity", "Place"))
for _, rule in ipairs(security:rules { action = "create_entity" }) do print(rule.principal, rule.action, rule.subject) end
