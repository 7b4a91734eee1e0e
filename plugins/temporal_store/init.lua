-- init.lua: the temporal store: every commit stores a version row, the state's text in parts, and moves the branch's head, in one transaction.
--
-- The state is kept as exact JSON text; data_hash is the SHA-256 of its canonical text (Python's json.dumps(state, sort_keys=True)), and
-- get_state checks it: a state that does not match its hash is a StorageError, never an answer.

local iu = require "inner_universe"

local M = {}

local ENCODING = "json"

function M.validate(config)
  if math.type(config.part_bytes) ~= "integer" or config.part_bytes < 1024 or config.part_bytes > 16777216 then
    return nil, ("part_bytes: expected an integer from 1024 to 16777216, got %s"):format(tostring(config.part_bytes))
  end
  if config.branch == "" then return nil, "branch: expected a name" end
  return true
end

function M.start(ctx)
  local check = ctx.check
  local manager = ctx.plugin("persistence_manager")
  local methods = {}
  local CLOSED = "temporal_store is closed"
  local stopped = false

  local function versioning_on()
    if ctx.settings.features.enable_state_versioning then return true end
    return nil, iu.errors.new("ValidationError", "state versioning is off (features.enable_state_versioning)")
  end

  local function head_id()
    local branch, err = ctx.conn:get("state_branch", ctx.config.branch)
    if branch then return branch.head_version_id end
    return nil, err
  end

  local function parts_of(text)
    local parts, size = {}, ctx.config.part_bytes
    for at = 1, #text, size do
      parts[#parts + 1] = { encoding = ENCODING, data = text:sub(at, at + size - 1) }
    end
    return parts
  end

  local OPTIONS = { author = true, tags = true, metadata = true }
  local function check_options(options)
    for key in pairs(options) do
      if not OPTIONS[key] then
        return nil, iu.errors.new("ValidationError", ("options: unknown key `%s` (known: author, metadata, tags)"):format(tostring(key)))
      end
    end
    return true
  end

  --- Stores a state as the next version of the branch. options: author, tags, metadata (a table). The version's id.
  ---@param state table
  ---@param description? string
  ---@param options? { author?: string, tags?: string[], metadata?: table }
  ---@return string? version_id
  ---@return inner_universe.Error? err
  function methods:commit_version(state, description, options)
    if stopped or not ctx.conn then check.raise(CLOSED) end
    check.type(state, "table", 1, "commit_version", "state")
    check.optional(description, "string", 2, "commit_version", "description")
    check.optional(options, "table", 3, "commit_version", "options")
    options = options or {}
    local ok, err = versioning_on()
    if ok then ok, err = check_options(options) end
    if not ok then return nil, err end
    local text, hash, metadata, head
    text, err = iu.json.encode(state)
    if not text then return nil, err end
    hash, err = iu.json.hash(state)
    if not hash then return nil, err end
    metadata, err = iu.json.encode(options.metadata or iu.object {})
    if not metadata then return nil, err end
    head, err = head_id()
    if err then return nil, err end
    local id = iu.uuid()
    ok, err = ctx.conn:call("commit_state_version", head or "", description or "", hash, ctx.config.branch, options.author or "",
      options.tags or {}, metadata, "", "", head or "", nil, parts_of(text), id)
    if not ok then return nil, err end
    return id
  end

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
    if stopped or not ctx.conn then check.raise(CLOSED) end
    check.type(version_id, "string", 1, "record_delta", "version_id")
    check.type(operations, "table", 2, "record_delta", "operations")
    check.optional(description, "string", 3, "record_delta", "description")
    return record(version_id, operations, description)
  end

  --- NERV's name for record_delta.
  ---@param version_id string
  ---@param operations inner_universe.Operation[]
  ---@param description? string
  ---@return string? delta_id
  ---@return inner_universe.Error? err
  function methods:record_state_delta(version_id, operations, description)
    if stopped or not ctx.conn then check.raise(CLOSED) end
    check.type(version_id, "string", 1, "record_state_delta", "version_id")
    check.type(operations, "table", 2, "record_state_delta", "operations")
    check.optional(description, "string", 3, "record_state_delta", "description")
    return record(version_id, operations, description)
  end

  --- The deltas recorded beside a version, oldest first.
  ---@param version_id string
  ---@return inner_universe.Delta[]? deltas
  ---@return inner_universe.Error? err
  function methods:get_deltas(version_id)
    if stopped or not ctx.conn then check.raise(CLOSED) end
    check.type(version_id, "string", 1, "get_deltas", "version_id")
    return manager.client:query_deltas(version_id)
  end

  --- { version_id, parent_version_id, description, data_hash, timestamp, author, tags, metadata, branch, owner }.
  ---@param version_id string
  ---@return inner_universe.Version? version
  ---@return inner_universe.Error? err VersionNotFoundError
  function methods:get_version(version_id)
    if stopped or not ctx.conn then check.raise(CLOSED) end
    check.type(version_id, "string", 1, "get_version", "version_id")
    return manager.client:get_state_version(version_id)
  end

  --- The head of the branch as get_version gives it; nil without an error when nothing was committed yet.
  ---@return inner_universe.Version? version
  ---@return inner_universe.Error? err
  function methods:get_current_version()
    if stopped or not ctx.conn then check.raise(CLOSED) end
    local head, err = head_id()
    if not head then return nil, err end
    return methods.get_version(self, head)
  end

  --- From a version (default: the current one) back to the first, as an array; at most `limit`.
  ---@param version_id? string
  ---@param limit? integer
  ---@return inner_universe.Version[]? versions
  ---@return inner_universe.Error? err
  function methods:history(version_id, limit)
    if stopped or not ctx.conn then check.raise(CLOSED) end
    check.optional(version_id, "string", 1, "history", "version_id")
    check.optional(limit, "integer", 2, "history", "limit")
    local id = version_id
    if not id then
      local head, err = head_id()
      if err then return nil, err end
      id = head
    end
    local versions = {}
    while id and #versions < (limit or math.huge) do
      local version, err = methods.get_version(self, id)
      if not version then return nil, err end
      versions[#versions + 1] = version
      id = version.parent_version_id
    end
    return versions
  end

  local function state_text(version_id)
    local rows, err = ctx.conn:select("state_snapshot", {
      filters = { { field = "version_id", operator = "Equals", value = version_id } }, order_by = "part",
    })
    if not rows then return nil, err end
    local texts = {}
    for i, row in ipairs(rows) do
      if row.encoding ~= ENCODING or row.part ~= i - 1 or row.parts ~= #rows then
        return nil, iu.errors.new("StorageError", ("version %s: part %d of its state is missing or unreadable"):format(version_id, i - 1))
      end
      texts[i] = row.data
    end
    return #texts > 0 and table.concat(texts) or nil
  end

  --- The state as it was committed. A version that was committed without a state (client:commit_state_version): VersionNotFoundError.
  ---@param version_id string
  ---@return table? state
  ---@return inner_universe.Error? err VersionNotFoundError, StorageError
  function methods:get_state(version_id)
    if stopped or not ctx.conn then check.raise(CLOSED) end
    check.type(version_id, "string", 1, "get_state", "version_id")
    local version, err = methods.get_version(self, version_id)
    if not version then return nil, err end
    local text
    text, err = state_text(version_id)
    if err then return nil, err end
    if not text then
      return nil, iu.errors.new("VersionNotFoundError", ("version %s was committed without its state"):format(version_id))
    end
    local state, hash
    state, err = iu.json.decode(text)
    if state == nil then return nil, iu.errors.new("StorageError", ("version %s: %s"):format(version_id, err.message), { cause = err }) end
    hash, err = iu.json.hash(state)
    if not hash then return nil, err end
    if version.data_hash and hash ~= version.data_hash then
      return nil, iu.errors.new("StorageError", ("version %s: its state does not match its hash"):format(version_id))
    end
    return state
  end

  function methods:stop()
    stopped = true
  end

  function methods:health()
    local head, err = head_id()
    if err then return nil, tostring(err) end
    return true, { head = head }
  end

  return ctx.hooks.class("temporal_store", methods, {}).new {}
end

return M
