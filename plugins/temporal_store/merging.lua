-- merging.lua: a merge of two versions: what they come of, the values merged (merge3.lua), a version with both as parents.

local iu = require "inner_universe"

local plugin = ...
local ARGUMENTS = plugin.load "arguments"
local merge3 = plugin.load "merge3"

local CLOSED = "temporal_store is closed"
local BASES_MAX = 16 -- common ancestors that a merge takes into account

---@param env table init.lua's
---@param methods table those of the temporal store
return function(env, methods)
  local check, versions, states, closed = env.ctx.check, env.versions, env.states, env.closed

  local merge_base

  -- The state that two versions come of: that of their common ancestor; where there are several, those merged, conflicts as the older one has them.
  merge_base = function(ours, theirs, depth)
    local common, err = env.ancestry.common(ours, theirs)
    if not common then return nil, err end
    if #common == 0 then return iu.object {}, nil, common end
    local base
    for i = 1, math.min(#common, depth > 0 and BASES_MAX or 1) do
      local state
      state, err = env.state_of(common[i])
      if err then return nil, err end
      if base == nil then
        base = state
      else
        local below, why = merge_base(common[1], common[i], depth - 1)
        if why then return nil, why end
        base = merge3.merge(below, base, state, "ours")
      end
    end
    return base, nil, common
  end

  -- One try on the branch as it is now; `moved`: somebody else committed to it meanwhile.
  local function merge_once(theirs, into, options)
    local head, err = versions.head(into)
    if err then return nil, err end
    if not head then return nil, iu.errors.new("VersionNotFoundError", ("no branch is called %s"):format(into)) end
    local other
    other, err = versions.resolve(theirs)
    if not other then return nil, err end
    head, err = versions.get(head)
    if not head then return nil, err end
    local base, why, common = merge_base(head, other, 8)
    if why then return nil, why end
    if common[1] and common[1].version_id == other.version_id then return head.version_id end
    local ours, incoming
    ours, err = env.state_of(head)
    if err then return nil, err end
    incoming, err = env.state_of(other)
    if err then return nil, err end
    local merged, conflicts = merge3.merge(base, ours, incoming, options.resolve)
    if closed() then check.raise(CLOSED) end -- by `resolve`, or while that waited
    if #conflicts > 0 then
      return nil, iu.errors.new("ConflictError", ('merging %s into "%s": %d conflict%s, the first at path "%s"'):format(theirs, into, #conflicts,
        #conflicts == 1 and "" or "s", conflicts[1].path), { details = { conflicts = conflicts } })
    end
    local what
    what, err = env.read_options({ author = options.author, tags = options.tags, metadata = options.metadata },
      options.description or ("Merge %s into %s"):format(theirs, into))
    if not what then return nil, err end
    what.branch, what.merge_parent = into, other.version_id
    what.document, err = states.document(merged)
    if not what.document then return nil, err end
    local id
    id, err = env.commit(what, head.version_id)
    return id, err, not id and err.kind == "ConflictError"
  end

  local MERGE = { into = "string", resolve = "any", description = "string", author = "string", tags = "table", metadata = "table" }

  --- Merges a version (or the head of a branch) into a branch: three-way over what both come of. What does not collide is merged, and committed as a version
  --- with both parents, whose id is the answer; when there is nothing to merge, the head's id. What collides is a ConflictError whose details.conflicts are
  --- rows { path, base, ours, theirs } (nil: absent), and nothing is committed; `resolve` decides instead: "ours", "theirs", or a function of such a row
  --- that answers the value (row.absent: none; nil: stays a conflict). Where somebody commits to the branch meanwhile, all is done again on what it is then.
  ---@param theirs string
  ---@param options? { into?: string, resolve?: "ours"|"theirs"|function, description?: string, author?: string, tags?: string[], metadata?: table }
  ---@return string? version_id
  ---@return inner_universe.Error? err
  function methods:merge(theirs, options)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.merge, "merge", theirs, options)
    options = options or {}
    local ok, err = env.versioning_on()
    if ok then ok, err = check.options("merge", options, MERGE) end
    if not ok then return nil, err end
    local resolve = options.resolve
    if resolve ~= nil and resolve ~= "ours" and resolve ~= "theirs" and type(resolve) ~= "function" then
      return env.invalid('merge: resolve: "ours", "theirs" or a function expected, got %s', tostring(resolve))
    end
    local into = options.into or env.current
    local id, moved
    for attempt = 1, env.RETRIES do
      id, err, moved = merge_once(theirs, into, options)
      if not moved then break end
      env.step_back(attempt)
      if closed() then check.raise(CLOSED) end
    end
    return id, err
  end
end
