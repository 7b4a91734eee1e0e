-- arguments.lua: what the manager's methods take: of each argument its name and its Lua type ("|" between several), "?" where nil is fine. Methods of
-- the same name in transactions, in views of the past and of the plugin batch take the same. What is "any" is looked at by the method itself.
--
-- A method checks with `check.arguments`; hooks.arguments(name) tells others (mocks of the plugin testing).

return {
  initialize = { { "options", "table", "?" } },
  flush = { { "timeout", "number", "?" } },
  plugin = { { "name", "string" } },
  create_entity = { { "entity_type", "string" }, { "metadata", "table", "?" }, { "id", "string", "?" } },
  get_entity = { { "id", "string" } },
  update_entity = { { "id", "string" }, { "metadata", "table" } },
  delete_entity = { { "id", "string" }, { "options", "table", "?" } },
  query_entities = { { "spec", "table", "?" } },
  create_relation = {
    { "from_entity", "string" }, { "to_entity", "string" }, { "relation_type", "string" }, { "metadata", "table", "?" }, { "id", "string", "?" },
  },
  get_relation = { { "id", "string" } },
  update_relation = { { "id", "string" }, { "metadata", "table" } },
  delete_relation = { { "id", "string" } },
  query_relations = { { "spec", "table", "?" } },
  explain_entities = { { "spec", "table", "?" } },
  explain_relations = { { "spec", "table", "?" } },
  sql = { { "text", "string" }, { "params", "table", "?" }, { "options", "table", "?" } },
  search_entities = { { "text", "string" }, { "options", "table", "?" } },
  backup = { { "path", "string" }, { "options", "table", "?" } },
  transaction = { { "fn", "callable" } },
  commit_version = { { "state", "table|document" }, { "description", "string", "?" }, { "options", "table", "?" } },
  record_delta = { { "version_id", "string" }, { "operations", "table" }, { "description", "string", "?" } },
  publish_event = { { "event_type", "string" }, { "data", "any", "?" }, { "source", "string", "?" } },
  neighbors = { { "id", "string" }, { "options", "table", "?" } },
  path = { { "from", "string" }, { "to", "string" }, { "options", "table", "?" } },
  as_of = { { "time or version", "integer|string" } },
  history = { { "id", "string" }, { "options", "table", "?" } },
  create_index = { { "table", "string" }, { "path", "string" } },
  drop_index = { { "table", "string" }, { "path", "string" } },
}
