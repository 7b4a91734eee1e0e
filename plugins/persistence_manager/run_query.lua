-- run_query.lua: query_entities and query_relations over whatever answers selections: the connection, or what a plugin lays over it.

local plugin = ...
local codec = plugin.load "codec"
local query = plugin.load "query"

--- The rows as users see them, how many matched, and with `explain` how they were found.
---@param source { select: fun(self, table_name: string, selection: table): table[]?, any, explain: fun(self, table_name: string, selection: table): string? }
---@param table_name "entity"|"relation"
---@param spec inner_universe.QuerySpec
return function(source, table_name, spec)
  local selection, err = query.selection(spec, table_name)
  if not selection then return nil, err end
  local found, matched = source:select(table_name, selection)
  if not found then return nil, matched end
  found, err = codec.all(found, codec[table_name])
  if not found then return nil, err end
  if not spec.explain then return found, matched end
  local words
  words, err = source:explain(table_name, selection)
  if not words then return nil, err end
  return found, matched, words
end
