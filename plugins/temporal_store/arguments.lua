-- arguments.lua: what the methods take: of each argument its name, its type ("|" between several), "?" where nil is fine. They check it with
-- `check.arguments`; hooks.arguments("temporal_store.<method>") tells others.

return {
  commit_version = { { "state", "table|document" }, { "description", "string", "?" }, { "options", "table", "?" } },
  track = { { "initial", "table|document", "?" }, { "options", "table", "?" } },
  draft = { { "live", "table" } },
  data_hash = { { "version_id", "string" } },
  record_delta = { { "version_id", "string" }, { "operations", "table" }, { "description", "string", "?" } },
  record_state_delta = { { "version_id", "string" }, { "operations", "table" }, { "description", "string", "?" } },
  get_deltas = { { "version_id", "string" } },
  get_version = { { "version_id", "string" } },
  get_state = { { "version_id", "string" }, { "options", "table", "?" } },
  as_of = { { "time", "integer" }, { "options", "table", "?" } },
  prune = { { "options", "table" } },
  history = { { "version_id", "string|table", "?" }, { "limit", "integer", "?" } },
  diff = { { "from", "string" }, { "to", "string" }, { "options", "table", "?" } },
  blame = { { "path", "string", "?" }, { "options", "table", "?" } },
  revert = { { "version_id", "string" }, { "description", "string", "?" } },
  merge = { { "theirs", "string" }, { "options", "table", "?" } },
  checkout = { { "branch", "string" } },
  branch = { { "name", "string" }, { "from", "string", "?" } },
  tag = { { "name", "string" }, { "version_id", "string", "?" } },
  delete_branch = { { "name", "string" } },
  delete_tag = { { "name", "string" } },
}
