-- upkeep.lua: is everything readable and what it was (verify), what does it take (stats), and how old versions go (prune).

local iu = require "inner_universe"

local KEEP_STATES = 64 -- states that verify keeps at hand, so that a version is checked from the one before
local BATCH = 100 -- versions that one call removes
local TRIES = 10 -- of pruning, while branches and tags move to what is to go
local REMOVAL_TRIES = 50 -- of removing some, while commits come in between
local REMOVAL_PAUSE = 0.002 -- seconds before the second of these, twice that before the third, and so on

---@param ctx table
---@param versions table
---@param states table
return function(ctx, versions, states)
  local upkeep = {}

  -- Lets others run between two slices; where nobody may wait, it raises, and the slices follow each other.
  local function breathe() pcall(iu.sleep, 0) end

  -- Verifying ----------------------------------------------------------------------------------------------------

  -- The failure of a state, of the version that was looked at: the damage may lie in one before it.
  local function differs(version, failure)
    local details = { version_id = version.version_id, timestamp = version.timestamp }
    for key, value in pairs(failure.details or {}) do details[key] = details[key] or value end
    local message = failure.message:gsub("^version %S+: ", "")
    return iu.errors.new("StorageError", ("version %s: %s"):format(version.version_id, message), { details = details, cause = failure })
  end

  local function check_links(version)
    for _, key in ipairs { "parent_version_id", "merge_parent_id" } do
      if version[key] then
        local parent, err = versions.get(version[key])
        if not parent and err.kind ~= "VersionNotFoundError" then return nil, err end -- one that is gone was pruned
      end
    end
    return true
  end

  local function check_one(version, keep)
    local ok, err = check_links(version)
    if not ok then return nil, err end
    local state
    state, err = states.load(version.version_id, keep)
    if not state then
      if err.kind ~= "VersionNotFoundError" then return nil, err end
      ok, err = versions.get(version.version_id)
      if ok then return "stateless" end
      return err.kind == "VersionNotFoundError" and "pruned" or nil, err
    end
    ok, err = states.check(version, state)
    if not ok then return nil, err end
    return state
  end

  -- A name that leads to no version is damage, unless it has moved or gone since it was read, and then the version with a pruning.
  local function check_name(kind, row)
    local version, err = versions.get(row.head_version_id)
    if version then return true end
    if err.kind ~= "VersionNotFoundError" then return nil, err end
    local now, why = versions.name(row.name, kind)
    if why then return nil, why end
    if not now or now.head_version_id ~= row.head_version_id then return true end
    return nil, iu.errors.new("StorageError", ("%s %s: %s"):format(kind, row.name, err.message), { cause = err })
  end

  local function check_names()
    for _, kind in ipairs { "branch", "tag" } do
      local rows, err = versions.names(kind)
      if not rows then return nil, err end
      for _, row in ipairs(rows) do
        local ok
        ok, err = check_name(kind, row)
        if not ok then return nil, err end
      end
    end
    return true
  end

  --- Recomputes every hash of every version, oldest first, from the stored rows alone. { versions, stateless, bytes }, or nil and a StorageError that names
  --- the first version that differs (details.version_id).
  ---@return table?, inner_universe.Error?
  function upkeep.verify()
    local report, keep, order, failure = { versions = 0, stateless = 0, bytes = 0 }, {}, {}, nil
    local ok, err = versions.each(function(version)
      local state
      state, failure = check_one(version, keep)
      if not state then
        if failure.kind == "StorageError" then failure = differs(version, failure) end
        return false
      end
      if state == "pruned" then return true end -- since its row was read
      report.versions = report.versions + 1
      if state == "stateless" then
        report.stateless = report.stateless + 1
        return true
      end
      report.bytes = report.bytes + state.bytes
      for id in pairs(keep) do
        if not order[id] then
          order[id] = true
          order[#order + 1] = id
        end
      end
      while #order > KEEP_STATES do
        local oldest = table.remove(order, 1)
        order[oldest], keep[oldest] = nil, nil
      end
      if report.versions % 64 == 0 then breathe() end
      return true
    end)
    if not ok then return nil, err end
    if failure then return nil, failure end
    ok, err = check_names()
    if not ok then return nil, err end
    return report
  end

  -- Numbers ------------------------------------------------------------------------------------------------------

  --- { versions, snapshots, deltas, snapshot_bytes, delta_bytes, longest_chain, branches, tags, cached, cached_bytes }. Reads all rows of the history.
  ---@return table?, inner_universe.Error?
  function upkeep.stats()
    local out = { versions = 0, snapshots = 0, deltas = 0, snapshot_bytes = 0, delta_bytes = 0, longest_chain = 0 }
    local chain = {}
    local failure
    local ok, err = versions.each(function(version)
      local id = version.version_id
      out.versions = out.versions + 1
      local parts
      parts, failure = ctx.conn:select("state_snapshot", { filters = { { field = "version_id", operator = "Equals", value = id } } })
      if not parts then return false end
      for _, part in ipairs(parts) do out.snapshot_bytes = out.snapshot_bytes + #part.data end
      local delta
      delta, failure = states.delta(id)
      if failure then return false end
      if delta then
        out.deltas, out.delta_bytes = out.deltas + 1, out.delta_bytes + delta.bytes
      end
      if #parts > 0 then
        out.snapshots, chain[id] = out.snapshots + 1, 0
      elseif delta then
        chain[id] = (chain[delta.base_version_id] or 0) + 1
        out.longest_chain = math.max(out.longest_chain, chain[id])
      end
      if out.versions % 256 == 0 then breathe() end
      return true
    end)
    if not ok then return nil, err end
    if failure then return nil, failure end
    for _, kind in ipairs { "branch", "tag" } do
      local rows, why = versions.names(kind)
      if not rows then return nil, why end
      out[kind == "branch" and "branches" or "tags"] = #rows
    end
    out.cached, out.cached_bytes = states.cached()
    return out
  end

  -- Pruning ------------------------------------------------------------------------------------------------------

  local OPTIONS = { keep_last = "integer", older_than = "number", keep_tags = "boolean", max_bytes = "integer", dry_run = "boolean" }

  -- All versions, oldest first, and what each takes.
  local function census(with_bytes)
    local list, failure = {}, nil
    local ok, err = versions.each(function(version)
      local entry = { version = version, id = version.version_id, bytes = 0 }
      if with_bytes then
        local parts, delta
        parts, failure = ctx.conn:select("state_snapshot", { filters = { { field = "version_id", operator = "Equals", value = entry.id } } })
        if not parts then return false end
        for _, part in ipairs(parts) do entry.bytes = entry.bytes + #part.data end
        delta, failure = states.delta(entry.id)
        if failure then return false end
        entry.bytes = entry.bytes + (delta and delta.bytes or 0)
      end
      list[#list + 1] = entry
      return true
    end)
    if not ok then return nil, err end
    if failure then return nil, failure end
    return list
  end

  -- The versions that names hold, and the last of each branch: id -> why.
  local function kept_by_name(options, by_id)
    local kept = {}
    for _, kind in ipairs { "branch", "tag" } do
      local rows, err = versions.names(kind)
      if not rows then return nil, err end
      for _, row in ipairs(rows) do
        local entry, left = by_id[row.head_version_id], 1
        if kind == "branch" then left = math.max(1, options.keep_last or 1) end
        if kind == "tag" and options.keep_tags == false then left = 0 end
        while entry and left > 0 do
          kept[entry.id] = kept[entry.id] or ("%s %s"):format(kind, row.name)
          entry, left = by_id[entry.version.parent_version_id], left - 1
        end
      end
    end
    return kept
  end

  -- What goes: a list, oldest first.
  local function chosen(list, kept, options)
    local out, total = {}, 0
    local limit = options.older_than and iu.now() - math.floor(options.older_than * 1e6) or nil
    for _, entry in ipairs(list) do total = total + entry.bytes end
    for _, entry in ipairs(list) do
      if not kept[entry.id] then
        local too_old = limit and entry.version.timestamp < limit
        local too_many = options.keep_last and not limit
        local too_much = options.max_bytes and total > options.max_bytes
        if too_old or too_many or too_much then
          out[#out + 1] = entry
          total = total - entry.bytes
        end
      end
    end
    return out, total
  end

  -- Versions that stay and stand on one that goes get a snapshot first. Children whose parents go are all that can.
  local function ground(list, going)
    local written, keep = 0, {}
    for _, entry in ipairs(list) do
      local parent = entry.version.parent_version_id
      if not going[entry.id] and parent and going[parent] then
        local wrote, err = states.ground(entry.id, keep)
        if wrote == nil and err.kind ~= "VersionNotFoundError" then return nil, err end
        if wrote then
          written = written + 1
          breathe()
        end
        keep = {}
      end
    end
    return written
  end

  -- A tag that is given up goes before its version can.
  local function drop_tags(going)
    local rows, err = versions.names("tag")
    if not rows then return nil, err end
    for _, row in ipairs(rows) do
      if going[row.head_version_id] then
        local ok
        ok, err = ctx.conn:call("set_branch", row.name, "tag", "", row.head_version_id)
        if not ok then return nil, err end
      end
    end
    return true
  end

  -- Versions that came since the census, by a branch made meanwhile, on one that goes: they get a snapshot as the others did.
  local function ground_late(list, known, going)
    local rows, err = ctx.conn:select("state_version", {
      filters = { { field = "timestamp", operator = "GreaterOrEqual", value = list[#list].version.timestamp } },
    })
    if not rows then return nil, err end
    local late = {}
    for _, row in ipairs(rows) do
      if not known[row.version_id] then late[#late + 1] = { id = row.version_id, version = row } end
    end
    return ground(late, going)
  end

  -- What proves that no branch has moved since: expectations for `transact`. nil, ConflictError where one has come to what goes.
  local function branches_as_they_are(going)
    local rows, err = versions.names("branch")
    if not rows then return nil, err end
    local expects = {}
    for i, row in ipairs(rows) do
      if going[row.head_version_id] then
        return nil, iu.errors.new("ConflictError", ("prune: branch %s came to version %s"):format(row.name, row.head_version_id))
      end
      local bytes
      bytes, err = ctx.conn:row_bytes("state_branch", row)
      if not bytes then return nil, err end
      expects[i] = { tag = "Expect", value = { table = "state_branch", key = row.name, row = bytes } }
    end
    return expects
  end

  -- Removes some in one transaction that a commit made since the last look at them undoes. true; nil, err.
  local function remove_batch(ids, all, known, going)
    local ok, err
    for attempt = 1, REMOVAL_TRIES do
      local operations
      operations, err = branches_as_they_are(going)
      if not operations then return nil, err end
      repeat
        local written, why = ground_late(all, known, going)
        if not written then return nil, why end
      until written == 0
      operations[#operations + 1] = { tag = "PruneVersions", value = { version_ids = ids, delta_ids = {}, snapshot_version_ids = {} } }
      ok, err = ctx.conn:call("transact", operations, nil)
      if ok or err.kind ~= "ConflictError" then break end
      if coroutine.isyieldable() then pcall(iu.sleep, REMOVAL_PAUSE * attempt) end
    end
    return ok, err
  end

  -- The youngest first, so that whatever is left when this ends early can still be read.
  local function remove(list, all, known, going, gone)
    for last = #list, 1, -BATCH do
      local ids = {}
      for i = last, math.max(1, last - BATCH + 1), -1 do
        ids[#ids + 1] = list[i].id
        states.forget(list[i].id)
      end
      local ok, err = remove_batch(ids, all, known, going)
      if not ok then return nil, err end
      table.move(ids, 1, #ids, #gone + 1, gone)
      breathe()
    end
    return true
  end

  -- One try. gone: the ids removed by this one and those before.
  local function prune_once(options, gone)
    local list, err = census(options.max_bytes ~= nil)
    if not list then return nil, err end
    local by_id = {}
    for _, entry in ipairs(list) do by_id[entry.id] = entry end
    local kept
    kept, err = kept_by_name(options, by_id)
    if not kept then return nil, err end
    local going_list, total = chosen(list, kept, options)
    local report = { removed = #going_list, kept = #list - #going_list, bytes = options.max_bytes and total or nil, snapshots_written = 0, versions = {} }
    local going = {}
    for i, entry in ipairs(going_list) do
      going[entry.id], report.versions[i] = true, entry.id
    end
    if options.dry_run or #going_list == 0 then return report end
    report.snapshots_written, err = ground(list, going)
    if not report.snapshots_written then return nil, err end
    local ok
    ok, err = drop_tags(going)
    if ok then ok, err = remove(going_list, list, by_id, going, gone) end
    if not ok then return nil, err end
    return report
  end

  -- Parts of snapshots whose versions never came.
  local function remove_left_parts()
    local ids, err = states.left_staged(ctx.config.staged_seconds)
    if not ids then return nil, err end
    for _, id in ipairs(ids) do
      local ok = true
      local version, why = versions.get(id)
      if not version and why.kind ~= "VersionNotFoundError" then return nil, why end
      if not version then ok, err = ctx.conn:call("prune_versions", {}, {}, { id }) end
      if ok then states.unstage(id) else return nil, err end
      if not version then ctx.log.info("the parts of version %s, which was never committed, are removed", id) end
    end
    return true
  end

  --- Removes versions. Branches keep their last `keep_last` (at least their heads), tags (`keep_tags`, true) their version. Of the others go: with
  --- `older_than` (seconds) those older than that; without it, and with `keep_last`, all; and the oldest while all together take more than `max_bytes`. Every
  --- version that stays can still be read. `dry_run` only says what would go. { removed, kept, bytes, snapshots_written, versions }.
  ---@param options { keep_last?: integer, older_than?: number, keep_tags?: boolean, max_bytes?: integer, dry_run?: boolean }
  ---@return table?, inner_universe.Error?
  function upkeep.prune(options)
    local ok, err = ctx.check.options("prune", options, OPTIONS)
    if not ok then return nil, err end
    if not (options.keep_last or options.older_than or options.max_bytes) then
      return nil, iu.errors.new("ValidationError", "prune: expected keep_last, older_than or max_bytes")
    end
    if not options.dry_run then
      ok, err = remove_left_parts()
      if not ok then return nil, err end
    end
    local gone = {}
    for _ = 1, TRIES do
      local report
      report, err = prune_once(options, gone)
      if report then
        if #gone > report.removed then report.removed, report.versions = #gone, gone end
        return report
      end
      if err.kind ~= "ConflictError" then break end -- a branch or a tag came to a version that was to go
    end
    return nil, err
  end

  return upkeep
end
