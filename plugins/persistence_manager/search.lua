-- search.lua: search_entities: full text search over names and descriptions.

local iu = require "inner_universe"

local plugin = ...
local codec = plugin.load "codec"

local search = {}

local INDEX = { table = "entity", key = "id", json = "metadata", texts = { { "name", 4 }, { "description", 1 } } }
local OPTIONS = { limit = true, offset = true, entity_type = true, syntax = true, timeout = true }

--- Entities that are still there, each with its rank and snippet.
function search.entities(conn, text, options)
  for key in pairs(options) do
    if not OPTIONS[key] then
      return nil, iu.errors.new("ValidationError", ("search: unknown option `%s` (known: entity_type, limit, offset, syntax, timeout)"):format(tostring(key)))
    end
  end
  if options.entity_type ~= nil and type(options.entity_type) ~= "string" then
    return nil, iu.errors.new("ValidationError", ("search: entity_type: a string expected, got %s"):format(type(options.entity_type)))
  end
  local found, err = conn:search_text(INDEX, text, {
    limit = options.limit, offset = options.offset, syntax = options.syntax, timeout = options.timeout,
    where = options.entity_type and { entity_type = options.entity_type } or nil,
  })
  if not found then return nil, err end
  local entities = {}
  for _, hit in ipairs(found) do
    local row
    row, err = conn:get("entity", hit.key)
    if err then return nil, err end
    if row then -- else deleted since
      local entity
      entity, err = codec.entity(row)
      if not entity then return nil, err end
      entity.rank, entity.snippet = hit.rank, hit.snippet
      entities[#entities + 1] = entity
    end
  end
  return entities
end

return search
