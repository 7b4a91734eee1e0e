-- Universes with rows in every table, for the specs about copies of them.
--
--   local world = require "transfer_world"
--   world.fill(conn, random)                 -- through the reducers, so with audit events and history
--   world.rows(conn)                         -- { table = { key = bytes } } of what a copy has to bring, read by itself

local iu = require "inner_universe"

local world = {}

world.TABLES = {
  "entity", "relation", "state_version", "delta_record", "state_snapshot", "state_branch", "event_log", "event_cursor", "row_history", "permission",
  "applied_request", "schema_migration", "plugin_record", "config",
}

local TEXTS = { "", "x", "größe 🔑", "line\nbreak \"quoted\\", ("long "):rep(200), "\0zero" }

local function properties(random)
  local kinds = {
    { n = random(1 << 40), f = random() * 1e300, s = TEXTS[random(#TEXTS)] }, { big = iu.wide("18446744073709551615"), i = math.mininteger },
    { list = iu.array { 1, 1.0, iu.null, iu.array {} }, o = iu.object {} }, {},
  }
  return assert(iu.json.encode(iu.object(kinds[random(#kinds)])))
end

local function call(conn, ...)
  assert(conn:call(...))
end

--- About so many rows in the large tables.
function world.fill(conn, random, count)
  count = count or 60
  call(conn, "update_config", "enable_row_history", "entity,relation", "")
  call(conn, "update_config", "theme", "größe", "a setting")
  local ids = {}
  for i = 1, count do
    ids[i] = ("e-%d-%d"):format(i, random(1 << 30))
    call(conn, "create_entity", "T" .. random(3),
      { name = random(2) == 1 and TEXTS[random(4)] or nil, tags = iu.array { "a" }, properties = properties(random) }, ids[i])
  end
  for i = 1, count // 3 do
    call(conn, "create_relation", ids[i], ids[random(count)], "R", { strength = random() * 10 - 5, bidirectional = random(2) == 1, tags = iu.array {},
      properties = properties(random) }, iu.null)
    call(conn, "update_entity", ids[i], { tags = iu.array {}, properties = properties(random) })
  end
  call(conn, "create_entity", "Gone", { tags = iu.array {}, properties = "{}" }, "gone")
  call(conn, "delete_entity", "gone", false)
  local parent = ""
  for i = 1, 5 do
    local id = ("v-%d-%d"):format(i, random(1 << 30))
    call(conn, "commit_state_version", parent, "d", ("%064x"):format(i), "", "a", iu.array { "t" }, "{}", "", "", iu.null,
      { base_version_id = "", operations = iu.array {
        { tag = "Set", value = { path = "a", value = "1" } }, { tag = "Delete", value = { path = "b" } },
        { tag = "Insert", value = { path = "c", index = 3, value = "[]" } }, { tag = "Insert", value = { path = "c", value = "null" } },
        { tag = "Remove", value = { path = "c", index = 0 } }, { tag = "Patch", value = { path = "", patch = "{}" } } },
        metadata = { description = "", tags = iu.array {} } },
      iu.array { { encoding = "raw", data = ("\0\255bytes"):rep(random(50)) } }, id)
    parent = id
  end
  call(conn, "set_branch", "v1", "tag", parent, iu.null)
  for _ = 1, count // 2 do call(conn, "publish_event", "E" .. random(3), "s", properties(random), iu.null) end
  call(conn, "advance_cursor", "billing", 3, iu.null)
  call(conn, "grant", "role:admin", "create_entity", "T1")
  call(conn, "grant", "role:admin", "create_entity", "*")
  call(conn, "record_migration", "0001", "first", "sum", "applied", 0, "", "", 5)
  call(conn, "put_record", "some:record", "{}", iu.null, iu.null)
  call(conn, "transact", iu.array {}, "request-" .. random(1 << 30))
end

local CONNECTIONS = { CLIENT_CONNECTED = true, CLIENT_DISCONNECTED = true }

--- What a copy has to bring, by this file's own idea of it. Every table is subscribed.
function world.rows(conn, names)
  local queries, all = {}, {}
  for i, name in ipairs(names or world.TABLES) do queries[i] = "SELECT * FROM " .. name end
  local sub = assert(conn:subscribe(queries))
  assert(sub:wait())
  local last = 0
  for _, name in ipairs(names or world.TABLES) do
    local found = {}
    for row in conn.tables[name]:iter() do
      local key = row.id or row.version_id or row.delta_id or row.event_id or row.consumer or row.request_key or row.version or row.key or row.name
      if name == "state_version" then key = row.version_id end
      if name == "schema_migration" then key = row.version end
      if name == "state_snapshot" or name == "row_history" or name == "permission" or name == "plugin_record" or name == "config" then key = row.key end
      if name == "event_log" and not CONNECTIONS[row.event_type] then last = math.max(last, row.sequence) end
      local own = name == "config" and (key == "owner" or key == "schema_version") or name == "plugin_record" and key:match("^transfer:")
      if not own then found[key] = assert(conn:row_bytes(name, row)) end
    end
    all[name] = found
  end
  for row in conn.tables.event_log:iter() do
    if row.sequence > last and all.event_log then all.event_log[row.event_id] = nil end
  end
  sub:unsubscribe()
  return all
end

return world
