-- versions.lua: version rows and the names that lead to them: branches and tags.

local iu = require "inner_universe"

---@param ctx table
---@param decode fun(row: table): table?, inner_universe.Error? a state_version row as users see it
return function(ctx, decode)
  local versions = {}

  --- Commits a version: fields of commit_state_version by name. base: the row of the version that its delta stands on, as it was read, or nil. On a server
  --- others may give that one another state meanwhile (a migration): there the commit proves that they did not, and is a ConflictError where they did.
  ---@param base table?
  ---@param fields table
  ---@return true?, inner_universe.Error?
  function versions.commit(base, fields)
    if base and ctx.settings.backend == "spacetimedb" then
      local bytes, err = ctx.conn:row_bytes("state_version", base)
      if not bytes then return nil, err end
      return ctx.conn:call("transact", {
        { tag = "Expect", value = { table = "state_version", key = base.version_id, row = bytes } }, { tag = "CommitStateVersion", value = fields },
      })
    end
    return ctx.conn:call("commit_state_version", fields.parent_version_id, fields.description, fields.data_hash, fields.branch, fields.author, fields.tags,
      fields.metadata, fields.merge_parent_id, fields.tree_hash, fields.expected_head, fields.delta, fields.snapshot, fields.id)
  end

  --- The version as users see it, or nil and VersionNotFoundError.
  ---@param id string
  ---@return inner_universe.Version?, inner_universe.Error?
  function versions.get(id)
    local row, err = ctx.conn:get("state_version", id)
    if row then return decode(row) end
    return nil, err or iu.errors.new("VersionNotFoundError", ("state version not found: %s"):format(id))
  end

  --- The row of a branch or a tag; nil without an error when there is none.
  ---@param name string
  ---@param kind? "branch"|"tag"
  ---@return table?, inner_universe.Error?
  function versions.name(name, kind)
    local row, err = ctx.conn:get("state_branch", name)
    if row and (not kind or row.kind == kind) then return row end
    return nil, err
  end

  --- The id of a branch's head; nil without an error for a branch that has none yet.
  ---@param branch string
  ---@return string?, inner_universe.Error?
  function versions.head(branch)
    local row, err = versions.name(branch, "branch")
    if row then return row.head_version_id end
    return nil, err
  end

  --- The version that a text means: an id, or the name of a branch or a tag.
  ---@param ref string
  ---@return inner_universe.Version?, inner_universe.Error?
  function versions.resolve(ref)
    local version, err = versions.get(ref)
    if version then return version end
    if err.kind ~= "VersionNotFoundError" then return nil, err end
    local row, why = versions.name(ref)
    if row then return versions.get(row.head_version_id) end
    if why then return nil, why end
    return nil, iu.errors.new("VersionNotFoundError", ("no version, branch or tag is called %s"):format(ref))
  end

  --- All names of a kind, sorted.
  ---@param kind "branch"|"tag"
  ---@return table[]?, inner_universe.Error?
  function versions.names(kind)
    local rows, err = ctx.conn:select("state_branch", { filters = { { field = "kind", operator = "Equals", value = kind } }, order_by = "name" })
    if not rows then return nil, err end
    return rows
  end

  --- Goes back from a version along first parents: each call answers the next version, nil after the first one (or where a parent was pruned), and false, err
  --- where one could not be read (nil would end the loop, as if there were no more).
  ---@param id? string where it begins
  ---@return fun(): (inner_universe.Version|false)?, inner_universe.Error?
  function versions.back(id)
    local first = true
    return function()
      if not id then return nil end
      local version, err = versions.get(id)
      if not version then
        if not first and err.kind == "VersionNotFoundError" then return nil end
        return false, err
      end
      first = false
      id = version.parent_version_id
      return version
    end
  end

  --- Calls fn with every version, oldest first, page by page; ends early when fn answers false.
  ---@param fn fun(version: inner_universe.Version): boolean?
  ---@return true?, inner_universe.Error?
  function versions.each(fn)
    local PAGE, offset = 1000, 0
    while true do
      local rows, err = ctx.conn:select("state_version", { order_by = "timestamp", limit = PAGE, offset = offset })
      if not rows then return nil, err end
      for _, row in ipairs(rows) do
        local version, why = decode(row)
        if not version then return nil, why end
        if fn(version) == false then return true end
      end
      if #rows < PAGE then return true end
      offset = offset + PAGE
    end
  end

  return versions
end
