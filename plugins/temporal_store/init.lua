-- init.lua: the temporal store: states in versions, versions on branches. What a state's rows are is in states.lua; here is what users call.
--
-- A commit is one call of the reducer commit_state_version: the version, its delta, its snapshot and the branch's head are there together or not at all.
-- data_hash is the SHA-256 of the state's canonical text (Python's json.dumps(state, sort_keys=True)), and get_state checks it: a state that does not match its
-- hash is a StorageError, never an answer.

local iu = require "inner_universe"

local plugin = ...
local ARGUMENTS = plugin.load "arguments"
local make_versions = plugin.load "versions"
local make_states = plugin.load "states"
local make_ancestry = plugin.load "ancestry"
local make_blame = plugin.load "blame"
local add_history = plugin.load "history"
local add_names = plugin.load "names"
local add_merging = plugin.load "merging"
local make_upkeep = plugin.load "upkeep"
local make_rewrite = plugin.load "rewrite"
local make_drafts = plugin.load "drafts"

local M = {}

local CLOSED = "temporal_store is closed"
local RETRIES = 100 -- commits that found the head moved, before that is told
local BACKOFF, BACKOFF_MAX = 0.001, 0.05 -- seconds that such a commit waits at most before it tries again: more each time
local REFUSALS = { ConflictError = true, VersionNotFoundError = true, ValidationError = true, AuthorizationError = true } -- nothing was written

function M.validate(config)
  if config.branch == "" then return nil, "branch: expected a name" end
  return true
end

local function invalid(message, ...)
  return nil, iu.errors.new("ValidationError", message:format(...))
end

function M.start(ctx)
  local check = ctx.check
  local manager = ctx.plugin("persistence_manager")
  local methods = {}
  local stopped = false

  local versions = make_versions(ctx, function(row) return manager.client.version_of_row(row) end)
  local states = make_states(ctx, versions)
  local ancestry = make_ancestry(versions)
  local upkeep = make_upkeep(ctx, versions, states)

  -- What the files beside this one share. current: the branch that commits move.
  local env = {
    ctx = ctx, versions = versions, states = states, ancestry = ancestry, blame = make_blame(states, ancestry), invalid = invalid, current = ctx.config.branch,
  }

  local function closed() return stopped or ctx.is_closed() end

  local function versioning_on()
    if ctx.settings.features.enable_state_versioning then return true end
    return nil, iu.errors.new("ValidationError", "state versioning is off (features.enable_state_versioning)")
  end

  -- ---- committing ----

  -- One try on the head as it is now. what: { document, operations, description, branch, author, tags, metadata, merge_parent }.
  local function commit_on(what, head)
    local parent, row
    if head then
      local err
      row, err = ctx.conn:get("state_version", head)
      if err then return nil, err end
      if row then
        local function hash(name) return row[name] ~= "" and row[name] or nil end
        parent, err = states.read { version_id = head, data_hash = hash "data_hash", tree_hash = hash "tree_hash" }
      end
      if row and not parent and err.kind ~= "VersionNotFoundError" then
        ctx.log.warn("the state before is unreadable, so this commit stands alone: %s", err.message)
      end
    end
    local plan, err = states.plan(what.document, parent, head)
    if not plan then return nil, err end
    local id, ok = iu.uuid(), true
    if plan.staged then ok, err = states.stage(id, plan.staged) end
    if not ok then
      states.unstage(id, true)
      return nil, err
    end
    ok, err = versions.commit(plan.delta and row, {
      parent_version_id = head or "", description = what.description, data_hash = what.hash, branch = what.branch, author = what.author, tags = what.tags,
      metadata = what.metadata, merge_parent_id = what.merge_parent or "", tree_hash = what.tree_hash or "", expected_head = head or "", delta = plan.delta,
      snapshot = plan.snapshot, id = id,
    })
    if ok then
      if plan.staged then states.unstage(id) end
      plan.state.hash = what.hash
      states.remember(id, plan.state)
      what.state = plan.state
      return id
    end
    -- After a timeout the version may be there, and need it.
    if plan.staged and REFUSALS[err.kind] then states.unstage(id, true) end
    return nil, err
  end

  -- Lets those pass who write the same branch, each for another time, so that they do not meet again.
  local function step_back(attempt)
    if not coroutine.isyieldable() then return end
    local share = tonumber(iu.uuid():sub(-6), 16) / 0xFFFFFF
    iu.sleep(share * math.min(BACKOFF * attempt, BACKOFF_MAX))
  end

  -- expected: the head it must be ("" for none), or nil: whatever it is.
  local function commit(what, expected)
    local err
    what.hash, err = iu.json.hash(what.document)
    if not what.hash then return nil, err end
    for attempt = 1, RETRIES do
      local head, why = versions.head(what.branch)
      if why then return nil, why end
      if expected and expected ~= (head or "") then
        return nil, iu.errors.new("ConflictError", ('expected_parent: branch "%s" is at %s, expected %s'):format(what.branch, head or "no version yet",
          expected == "" and "no version yet" or expected), { details = { branch = what.branch, head = head, expected = expected } })
      end
      local id
      id, err = commit_on(what, head)
      if id or attempt == RETRIES then return id, err end
      local moved = err.kind == "ConflictError" and not expected
      if not moved and err.kind ~= "VersionNotFoundError" then return nil, err end -- not found: the head has moved and the one before it was pruned
      step_back(attempt)
    end
  end

  local COMMIT_OPTIONS = { branch = true, author = true, tags = true, metadata = true, expected_parent = true }
  local function read_options(options, description)
    for key in pairs(options) do
      if not COMMIT_OPTIONS[key] then
        return invalid("options: unknown key `%s` (known: author, branch, expected_parent, metadata, tags)", tostring(key))
      end
    end
    for _, key in ipairs { "branch", "expected_parent" } do
      if options[key] ~= nil and type(options[key]) ~= "string" then return invalid("options.%s: string expected, got %s", key, type(options[key])) end
    end
    if options.branch == "" then return invalid('options.branch: expected a name, got ""') end
    local metadata, err = iu.json.encode(options.metadata or iu.object {})
    if not metadata then return nil, err end
    return {
      description = description or "", branch = options.branch or env.current, author = options.author or "", tags = options.tags or {}, metadata = metadata,
    }
  end

  --- Stores a state as the next version of a branch. A state is a table or a document (iu.json.document). expected_parent: the version that the branch must be
  --- at ("" for none yet); without it a commit follows whatever is there. The version's id.
  ---@param state table|inner_universe.Document
  ---@param description? string
  ---@param options? { branch?: string, author?: string, tags?: string[], metadata?: table, expected_parent?: string }
  ---@return string? version_id
  ---@return inner_universe.Error? err ConflictError: the branch is not at expected_parent
  function methods:commit_version(state, description, options)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.commit_version, "commit_version", state, description, options)
    local ok, err = versioning_on()
    if not ok then return nil, err end
    local what
    what, err = read_options(options or {}, description)
    if not what then return nil, err end
    what.document, err = states.document(state)
    if not what.document then return nil, err end
    return commit(what, (options or {}).expected_parent)
  end

  -- ---- drafts ----

  env.commit, env.read_options, env.closed, env.versioning_on = commit, read_options, closed, versioning_on
  env.RETRIES, env.step_back = RETRIES, step_back

  local drafts = make_drafts(env)

  --- A draft: an ordinary-looking table that records what is changed in it, so that a commit costs what was changed (README.md, "Drafts"). initial: a table or
  --- a document; without it, what the branch has (an empty object where it has nothing yet).
  ---@param initial? table|inner_universe.Document
  ---@param options? { branch?: string }
  ---@return table? live
  ---@return inner_universe.Error? err
  function methods:track(initial, options)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.track, "track", initial, options)
    local ok, err = versioning_on()
    if ok then ok, err = check.options("track", options, { branch = "string" }) end
    if not ok then return nil, err end
    if options and options.branch == "" then return invalid('track: branch: expected a name, got ""') end
    return drafts.track(initial, options and options.branch or env.current)
  end

  --- The methods of a draft (commit, undo, redo, changes, totable) by themselves, for states that have members of such names.
  ---@param live table
  ---@return inner_universe.Draft? draft
  ---@return inner_universe.Error? err
  function methods:draft(live)
    check.arguments(ARGUMENTS.draft, "draft", live)
    return drafts.handle(live)
  end

  --- The SHA-256 of a version's canonical text; computed where the version has only a tree_hash.
  ---@param version_id string an id, or the name of a branch or a tag
  ---@return string? hash
  ---@return inner_universe.Error? err
  function methods:data_hash(version_id)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.data_hash, "data_hash", version_id)
    local version, err = versions.resolve(version_id)
    if not version then return nil, err end
    if version.data_hash then return version.data_hash end
    local state
    state, err = states.read(version)
    if not state then return nil, err end
    return iu.json.hash(state.document)
  end

  -- ---- notes beside versions ----

  local function record(version_id, operations, description)
    local ok, err = versioning_on()
    if not ok then return nil, err end
    return manager.client:record_delta(version_id, operations, { description = description })
  end

  --- A delta beside a version: operations { op = "set" | "delete" | "insert" | "remove" | "patch", path, value, index, patch }. The delta's id.
  ---@param version_id string
  ---@param operations inner_universe.Operation[]
  ---@param description? string
  ---@return string? delta_id
  ---@return inner_universe.Error? err
  function methods:record_delta(version_id, operations, description)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.record_delta, "record_delta", version_id, operations, description)
    return record(version_id, operations, description)
  end

  --- NERV's name for record_delta.
  ---@param version_id string
  ---@param operations inner_universe.Operation[]
  ---@param description? string
  ---@return string? delta_id
  ---@return inner_universe.Error? err
  function methods:record_state_delta(version_id, operations, description)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.record_state_delta, "record_state_delta", version_id, operations, description)
    return record(version_id, operations, description)
  end

  --- The deltas recorded beside a version, oldest first.
  ---@param version_id string
  ---@return inner_universe.Delta[]? deltas
  ---@return inner_universe.Error? err
  function methods:get_deltas(version_id)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.get_deltas, "get_deltas", version_id)
    return manager.client:query_deltas(version_id)
  end

  -- ---- reading ----

  --- { version_id, parent_version_id, merge_parent_id, branch, description, data_hash, tree_hash, timestamp, author, tags, metadata, owner }.
  ---@param version_id string an id, or the name of a branch or a tag
  ---@return inner_universe.Version? version
  ---@return inner_universe.Error? err VersionNotFoundError
  function methods:get_version(version_id)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.get_version, "get_version", version_id)
    return versions.resolve(version_id)
  end

  --- The head of the current branch as get_version gives it; nil without an error when nothing was committed yet.
  ---@return inner_universe.Version? version
  ---@return inner_universe.Error? err
  function methods:get_current_version()
    if closed() then check.raise(CLOSED) end
    local head, err = versions.head(env.current)
    if not head then return nil, err end
    return versions.get(head)
  end

  local function state_of(version, options)
    local state, err = states.read(version)
    if not state then return nil, err end
    if options and options.document then return state.document end
    return iu.json.totable(state.document) -- the method may be hidden by a member
  end

  --- The state as it was committed. A version that was committed without a state (client:commit_state_version): VersionNotFoundError.
  ---@param version_id string an id, or the name of a branch or a tag
  ---@param options? { document?: boolean } document: as it lies in memory, an immutable document, instead of tables of one's own
  ---@return any state
  ---@return inner_universe.Error? err VersionNotFoundError, StorageError
  function methods:get_state(version_id, options)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.get_state, "get_state", version_id, options)
    local ok, err = check.options("get_state", options, { document = "boolean" })
    if not ok then return nil, err end
    local version
    version, err = versions.resolve(version_id)
    if not version then return nil, err end
    return state_of(version, options)
  end

  --- The state of a branch at a time, and the version that it is; VersionNotFoundError when there was none yet.
  ---@param time integer microseconds since the epoch
  ---@param options? { branch?: string, document?: boolean }
  ---@return any state
  ---@return inner_universe.Version|inner_universe.Error version
  function methods:as_of(time, options)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.as_of, "as_of", time, options)
    local ok, err = check.options("as_of", options, { branch = "string", document = "boolean" })
    if not ok then return nil, err end
    local branch = options and options.branch or env.current
    local head
    head, err = versions.head(branch)
    if err then return nil, err end
    for version, why in versions.back(head) do
      if not version then return nil, why end
      if version.timestamp <= time then
        local state
        state, err = state_of(version, options)
        if state == nil then return nil, err end
        return state, version
      end
    end
    return nil, iu.errors.new("VersionNotFoundError", ('branch "%s" had no version at %d'):format(branch, time))
  end

  -- The version that a text means; without one the head of the current branch, whatever else bears its name.
  function env.resolve_or_current(ref)
    if ref then return versions.resolve(ref) end
    local head, err = versions.head(env.current)
    if head then return versions.get(head) end
    return nil, err or iu.errors.new("VersionNotFoundError", ('branch "%s" has no version yet'):format(env.current))
  end

  env.state_of = state_of
  add_history(env, methods)
  add_names(env, methods)
  add_merging(env, methods)

  -- ---- upkeep ----

  --- Recomputes every state and hash from the stored rows. { versions, stateless, bytes }, or nil and a StorageError: the first version that differs is its
  --- details.version_id.
  ---@return { versions: integer, stateless: integer, bytes: integer }? report
  ---@return inner_universe.Error? err
  function methods:verify()
    if closed() then check.raise(CLOSED) end
    return upkeep.verify()
  end

  --- { versions, snapshots, deltas, snapshot_bytes, delta_bytes, longest_chain, branches, tags, cached, cached_bytes }.
  ---@return table? numbers
  ---@return inner_universe.Error? err
  function methods:stats()
    if closed() then check.raise(CLOSED) end
    return upkeep.stats()
  end

  --- Removes old versions; what stays can be read as before. { removed, kept, bytes, snapshots_written, versions }. The owner's.
  ---@param options { keep_last?: integer, older_than?: number, keep_tags?: boolean, max_bytes?: integer, dry_run?: boolean }
  ---@return table? report
  ---@return inner_universe.Error? err
  function methods:prune(options)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.prune, "prune", options)
    return upkeep.prune(options)
  end

  local rewrite = make_rewrite(ctx, versions, states)

  --- What a migration of states is made of (plugins/temporal_store/rewrite.lua): `youngest_first()`, `base_of(id)`, `operations(id, document, { base, note })`,
  --- `newcomers(known, id)`: versions that came meanwhile, and what proves that there are no others on `id`; and `forget(id)` once those were applied.
  ---@return { youngest_first: function, base_of: function, operations: function, newcomers: function, forget: function }
  function methods:rewriter()
    if closed() then check.raise(CLOSED) end
    return {
      youngest_first = rewrite.youngest_first, base_of = rewrite.base_of, operations = rewrite.operations, newcomers = rewrite.newcomers,
      forget = function(id)
        states.forget(id)
        drafts.rewritten(id)
      end,
    }
  end

  function methods:stop()
    if not closed() then drafts.finish() end
    stopped = true
  end

  function methods:health()
    if closed() then return nil, CLOSED end
    local head, err = versions.head(env.current)
    if err then return nil, tostring(err) end
    return true, { head = head, branch = env.current }
  end

  return ctx.hooks.class("temporal_store", methods, { arguments = ARGUMENTS }).new {}
end

return M
