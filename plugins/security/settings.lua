-- settings.lua: the plugin's configuration, checked and compiled: patterns of paths, schemas. Nothing is read from the outside here.

local iu = require "inner_universe"

local plugin = ...
local paths = plugin.load "paths"
local schema = plugin.load "schema"

local settings = {
  OWN_EVENTS = { -- the module's, which nobody seals
    ENTITY_CREATED = true, ENTITY_UPDATED = true, ENTITY_DELETED = true, RELATION_CREATED = true, RELATION_UPDATED = true, RELATION_DELETED = true,
    STATE_VERSION_COMMITTED = true, DELTA_RECORDED = true, SYSTEM_INITIALIZED = true, CLIENT_CONNECTED = true, CLIENT_DISCONNECTED = true,
  },
}

local ARRAY = getmetatable(iu.array {})

-- A configuration reaches a plugin as read-only proxies, which JSON would see as empty.
local function thawed(value)
  if type(value) ~= "table" then return value end
  local out = {}
  for key, inner in pairs(value) do out[key] = thawed(inner) end
  if getmetatable(value) == ARRAY or #out > 0 then return iu.array(out) end
  return out
end

local function known_keys(t, known, what)
  for key in pairs(t) do
    if not known[key] then
      local names = {}
      for name in pairs(known) do names[#names + 1] = name end
      table.sort(names)
      return nil, ("%s: unknown key `%s` (known: %s)"):format(what, tostring(key), table.concat(names, ", "))
    end
  end
  return true
end

local function patterns_of(given, what)
  local out = {}
  for _, kind in ipairs { "entity", "relation" } do
    local list, wrong = paths.patterns(given[kind] or {}, "properties")
    if not list then return nil, ("%s.%s: %s"):format(what, kind, wrong) end
    out[kind] = list
  end
  return out
end

local function read_sealed(given)
  local ok, wrong = known_keys(given, { entity = true, relation = true, events = true }, "sealed")
  if not ok then return nil, wrong end
  local sealed
  sealed, wrong = patterns_of(given, "sealed")
  if not sealed then return nil, wrong end
  sealed.events = {}
  if given.events ~= nil and type(given.events) ~= "table" then return nil, "sealed.events: expected paths by event type" end
  for event_type, list in pairs(given.events or {}) do
    if type(event_type) ~= "string" then return nil, "sealed.events: expected paths by event type" end
    if settings.OWN_EVENTS[event_type] then
      local what = "sealed.events.%s: the module's own events are written unsealed by it; what they show of sealed and redacted properties is hidden"
      return nil, what:format(event_type)
    end
    sealed.events[event_type], wrong = paths.patterns(list)
    if wrong then return nil, ("sealed.events.%s: %s"):format(event_type, wrong) end
  end
  return sealed
end

local function read_redacted(given)
  local ok, wrong = known_keys(given, { entity = true, relation = true }, "redacted")
  if not ok then return nil, wrong end
  return patterns_of(given, "redacted")
end

local function read_keys(given)
  for key, source in pairs(given) do
    local where = ("keys[%s]"):format(tostring(key))
    if math.type(key) ~= "integer" or key < 1 or key > #given then return nil, where .. ": expected an array of sources" end
    if type(source) ~= "table" then return nil, where .. ": expected { env = ... } or { file = ... }" end
    local ok, wrong = known_keys(source, { env = true, file = true }, where)
    if not ok then return nil, wrong end
    local text = source.env or source.file
    if type(text) ~= "string" or text == "" or source.env and source.file then return nil, where .. ": expected { env = ... } or { file = ... }" end
  end
  return given
end

local function read_schemas(given, what)
  local out = {}
  for type_name, each in pairs(given) do
    if type(type_name) ~= "string" then return nil, ("%s: expected schemas by type"):format(what) end
    local check, wrong = schema.compile(each, ("%s.%s"):format(what, type_name))
    if not check then return nil, wrong end
    out[type_name] = check
  end
  return out
end

--- { sealed = { entity, relation, events = { TYPE = patterns } }, redacted = { entity, relation }, keys, schemas = { entity, relation } }, or nil and what
--- is wrong.
function settings.read(config)
  local out, wrong = { schemas = {} }
  out.sealed, wrong = read_sealed(thawed(config.sealed))
  if not out.sealed then return nil, wrong end
  out.redacted, wrong = read_redacted(thawed(config.redacted))
  if not out.redacted then return nil, wrong end
  out.keys, wrong = read_keys(thawed(config.keys))
  if not out.keys then return nil, wrong end
  out.schemas.entity, wrong = read_schemas(thawed(config.schemas), "schemas")
  if not out.schemas.entity then return nil, wrong end
  out.schemas.relation, wrong = read_schemas(thawed(config.relation_schemas), "relation_schemas")
  if not out.schemas.relation then return nil, wrong end
  -- What is sealed is redacted, too.
  for _, kind in ipairs { "entity", "relation" } do
    local all = {}
    for _, list in ipairs { out.redacted[kind], out.sealed[kind] } do table.move(list, 1, #list, #all + 1, all) end
    out.redacted[kind] = all
  end
  return out
end

return settings
