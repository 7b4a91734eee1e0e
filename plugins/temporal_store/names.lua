-- names.lua: branches and tags.

local iu = require "inner_universe"

local plugin = ...
local ARGUMENTS = plugin.load "arguments"

local CLOSED = "temporal_store is closed"

---@param env table init.lua's
---@param methods table those of the temporal store
return function(env, methods)
  local ctx, check, versions, closed = env.ctx, env.ctx.check, env.versions, env.closed

  --- The branch that commits move.
  ---@return string
  function methods:current_branch()
    return env.current
  end

  --- Makes a branch the current one of this universe handle: commits move it from now on. true, or VersionNotFoundError.
  ---@param branch string
  ---@return true? ok
  ---@return inner_universe.Error? err
  function methods:checkout(branch)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.checkout, "checkout", branch)
    local row, err = versions.name(branch, "branch")
    if err then return nil, err end
    if not row and branch ~= ctx.config.branch then
      return nil, iu.errors.new("VersionNotFoundError", ("no branch is called %s"):format(branch))
    end
    env.current = branch
    return true
  end

  -- An id goes before a name: one that bears both would lead to the version only.
  local function check_name(name, kind)
    local version, err = versions.get(name)
    if version then return nil, iu.errors.new("ConflictError", ("%s: %s is the id of a version"):format(kind, name)) end
    if err.kind == "VersionNotFoundError" then return true end
    return nil, err
  end

  local function name_version(method, name, kind, from)
    local version, err = env.resolve_or_current(from)
    if not version then return nil, err end
    local ok
    ok, err = check_name(name, kind)
    if not ok then return nil, err end
    ok, err = ctx.conn:call("set_branch", name, kind, version.version_id, method == "branch" and "" or nil)
    if not ok then return nil, err end
    return version.version_id
  end

  --- Makes a branch at a version (default: the current one). ConflictError when there is one of that name. The version's id.
  ---@param name string
  ---@param from? string an id, or the name of a branch or a tag
  ---@return string? version_id
  ---@return inner_universe.Error? err
  function methods:branch(name, from)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.branch, "branch", name, from)
    return name_version("branch", name, "branch", from)
  end

  --- Names a version (default: the current one); a tag of that name moves. The version's id.
  ---@param name string
  ---@param version_id? string
  ---@return string? version_id
  ---@return inner_universe.Error? err
  function methods:tag(name, version_id)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.tag, "tag", name, version_id)
    return name_version("tag", name, "tag", version_id)
  end

  local function named(kind)
    local rows, err = versions.names(kind)
    if not rows then return nil, err end
    local out = {}
    for i, row in ipairs(rows) do
      out[i] = { name = row.name, head_version_id = row.head_version_id, updated_at = row.updated_at }
      if kind == "branch" then out[i].current = row.name == env.current end
    end
    return out
  end

  --- Rows { name, head_version_id, updated_at, current }, by name.
  ---@return table[]? branches
  ---@return inner_universe.Error? err
  function methods:branches()
    if closed() then check.raise(CLOSED) end
    return named("branch")
  end

  --- Rows { name, head_version_id, updated_at }, by name.
  ---@return table[]? tags
  ---@return inner_universe.Error? err
  function methods:tags()
    if closed() then check.raise(CLOSED) end
    return named("tag")
  end

  local function unname(name, kind)
    local row, err = versions.name(name, kind)
    if err then return nil, err end
    if not row then return nil, iu.errors.new("VersionNotFoundError", ("no %s is called %s"):format(kind, name)) end
    return ctx.conn:call("set_branch", name, kind, "", row.head_version_id)
  end

  --- Removes a branch; its versions stay until they are pruned. Not the current one.
  ---@param name string
  ---@return true? ok
  ---@return inner_universe.Error? err
  function methods:delete_branch(name)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.delete_branch, "delete_branch", name)
    if name == env.current then return env.invalid('delete_branch: "%s" is the current branch; check out another one first', name) end
    return unname(name, "branch")
  end

  --- Removes a tag.
  ---@param name string
  ---@return true? ok
  ---@return inner_universe.Error? err
  function methods:delete_tag(name)
    if closed() then check.raise(CLOSED) end
    check.arguments(ARGUMENTS.delete_tag, "delete_tag", name)
    return unname(name, "tag")
  end
end
