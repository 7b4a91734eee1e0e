-- arguments.lua: what the methods take: of each argument its name, its type ("|" between several), "?" where nil is fine. They check it with
-- `check.arguments`; hooks.arguments("security.<method>") tells others.

return {
  validate = { { "entity_type", "string" }, { "properties", "table|document" } },
  rotate = { { "options", "table", "?" } },
  grant = { { "principal", "string" }, { "action", "string" }, { "subject", "string", "?" } },
  revoke = { { "principal", "string" }, { "action", "string" }, { "subject", "string", "?" } },
  add_to_role = { { "identity", "string" }, { "role", "string" } },
  remove_from_role = { { "identity", "string" }, { "role", "string" } },
  roles = { { "identity", "string" } },
  members = { { "role", "string" } },
  rules = { { "options", "table", "?" } },
  can = { { "identity", "string", "?" }, { "action", "string" }, { "subject", "string", "?" } },
}
