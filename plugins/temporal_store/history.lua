-- history.lua: looking back: versions one after the other, what lies between two, who changed what, and going back to one.

local iu = require "inner_universe"

local plugin = ...
local ARGUMENTS = plugin.load "arguments"

local CLOSED = "temporal_store is closed"

---@param env table init.lua's
---@param methods table those of the temporal store
return function(env, methods)
  local check, versions, states, closed = env.ctx.check, env.versions, env.states, env.closed

  local HISTORY = { branch = "string", path = "string", limit = "integer", before = "any" }

  -- Did what lies at the path change from a version's first parent to it?
  local function changed_at(version, segments, keep)
    local function value_of(id)
      local state, err = states.load(id, keep)
      if not state then return nil, err end
      local v = state.document
      for _, segment in ipairs(segments) do
        if not iu.json.is_document(v) then return nil end
        local inner = v[segment]
        if type(inner) == "function" then inner = nil end -- a method of documents is no member
        local index = inner == nil and iu.diff.index(segment)
        if index then inner = v[index + 1] end
        v = inner
      end
      return v
    end
    local mine, err = value_of(version.version_id)
    if err and err.kind == "VersionNotFoundError" then return false end -- committed without its state: what it changed nobody knows
    if err then return nil, err end
    local old
    if version.parent_version_id then
      old, err = value_of(version.parent_version_id)
      if err and err.kind ~= "VersionNotFoundError" then return nil, err end
    end
    keep[version.version_id] = nil
    if mine == nil or old == nil then return mine ~= old end
    return not iu.diff.equal(mine, old)
  end

  local function history_by(options)
    local ok, err = check.options("history", options, HISTORY)
    if not ok then return nil, err end
    local before = options.before
    if before ~= nil and type(before) ~= "string" and math.type(before) ~= "integer" then
      return env.invalid("history: before: a version or a time (integer microseconds) expected, got %s", tostring(before))
    end
    local segments
    if options.path then
      segments, err = iu.diff.segments(options.path)
      if not segments then return nil, err end
    end
    local id
    if type(before) == "string" then
      local version
      version, err = versions.resolve(before)
      if not version then return nil, err end
      id = version.parent_version_id
    else
      id, err = versions.head(options.branch or env.current)
      if err then return nil, err end
    end
    local out, keep = {}, {}
    for version, why in versions.back(id) do
      if not version then return nil, why end
      if math.type(before) ~= "integer" or version.timestamp < before then
        local take = true
        if segments then
          take, err = changed_at(version, segments, keep)
          if take == nil then return nil, err end
        end
        if take then out[#out + 1] = version end
        if #out == options.limit then break end
      end
    end
    return out
  end

  --- Versions along first parents, the youngest first. Of a table of options: of a branch, only those that changed what lies at `path`, only those `before` a
  --- version or a time, at most `limit`. Of a version (default: the current one): from it back to the first.
  ---@param version_id? string|{ branch?: string, path?: string, limit?: integer, before?: string|integer }
  ---@param limit? integer
  ---@return inner_universe.Version[]? versions
  ---@return inner_universe.Error? err
  function methods:history(version_id, limit)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.history, "history", version_id, limit)
    if type(version_id) == "table" then return history_by(version_id) end
    local id, err
    if version_id then
      local version
      version, err = versions.resolve(version_id)
      id = version and version.version_id
    else
      id, err = versions.head(env.current)
    end
    if err then return nil, err end
    local out = {}
    if limit and limit < 1 then return out end
    for version, why in versions.back(id) do
      if not version then return nil, why end
      out[#out + 1] = version
      if #out == limit then break end
    end
    return out
  end

  local function two_states(a, b)
    local out = {}
    for i, ref in ipairs { a, b } do
      local version, err = versions.resolve(ref)
      if not version then return nil, err end
      out[i], err = states.read(version)
      if not out[i] then return nil, err end
    end
    return out[1].document, out[2].document
  end

  --- The operations that lead from one version's state to another's.
  ---@param from string
  ---@param to string
  ---@param options? { arrays?: "auto"|"by_index"|table<string, string> } as iu.diff.compare takes them
  ---@return inner_universe.Operation[]? operations
  ---@return inner_universe.Error? err
  function methods:diff(from, to, options)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.diff, "diff", from, to, options)
    local old, new = two_states(from, to)
    if not old then return nil, new end
    return iu.diff.compare(old, new, options)
  end

  --- Who last changed each leaf under a path (default: the whole state): rows { path, value, version_id, author, timestamp, description }.
  ---@param path? string
  ---@param options? { version?: string } default: the current one
  ---@return table[]? rows
  ---@return inner_universe.Error? err
  function methods:blame(path, options)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.blame, "blame", path, options)
    local ok, err = check.options("blame", options, { version = "string" })
    if not ok then return nil, err end
    local version
    version, err = env.resolve_or_current(options and options.version)
    if not version then return nil, err end
    return env.blame(version, path or "")
  end

  --- Commits the state of an old version anew, on the current branch. The new version's id.
  ---@param version_id string
  ---@param description? string
  ---@return string? version_id
  ---@return inner_universe.Error? err
  function methods:revert(version_id, description)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.revert, "revert", version_id, description)
    local ok, err = env.versioning_on()
    if not ok then return nil, err end
    local version, state
    version, err = versions.resolve(version_id)
    if not version then return nil, err end
    state, err = states.read(version)
    if not state then return nil, err end
    local what = env.read_options({}, description or ("Revert to %s"):format(version.version_id))
    what.document = state.document
    return env.commit(what)
  end
end
