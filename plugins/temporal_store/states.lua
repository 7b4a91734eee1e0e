-- states.lua: how states lie in rows, and how they come back. A version has the delta that leads to it from its parent (a `chain` row of delta_record), a
-- snapshot (parts of its JSON text, compressed), or both. Reading goes back along deltas to the nearest snapshot and forward again; a commit writes a snapshot
-- when that way would become too long or too heavy. In memory a state is a document (iu.json.document), which shares with its base what did not change.

local iu = require "inner_universe"

local CHAIN_MAX = 100000 -- deltas that reading goes back over: more is a circle, which only damage can make
local ENCODINGS = { json = true, ["json+gzip"] = true }
local STATE_MAX = 1 << 30 -- bytes of a state's text
local UNREADABLE = "part %d of its state is missing or unreadable"
local WEIGHT = 4 -- bytes of memory a document takes for each of its text, about
local ENTRY_BYTES = 512 -- and whatever its text
local STAGED, STAGED_END = "temporal_store/staged/", "temporal_store/staged0" -- keys of marks, and the first behind them all

local function damaged(id, format, ...)
  return nil, iu.errors.new("StorageError", ("version %s: "):format(id) .. format:format(...), { details = { version_id = id } })
end

---@param ctx table
---@param versions table versions.lua
return function(ctx, versions)
  local states = {}

  -- The cache: the last states used, within a number of bytes. Two generations: when the young one holds half of them it becomes the old one, and what
  -- was the old one goes; a state that is used again is young again. The old one goes sooner where all caches together (cache_size_mb) need room.
  -- A state knows the hash that its version had: a migration, of another process too, may give the version another one (`read` compares them).

  local young, old = { states = {}, bytes = 0 }, { states = {}, bytes = 0 }
  local half = math.min(ctx.config.cache_bytes, ctx.cache_memory.limit) // 2
  local account

  local function age()
    account:add(-old.bytes)
    young, old = { states = {}, bytes = 0 }, young
  end

  account = ctx.cache_memory.open(function(bytes)
    local goal = account.used - bytes
    age()
    if account.used > goal then age() end
  end)

  local function remember(id, state)
    if young.states[id] then return end
    local weight = state.bytes * WEIGHT + ENTRY_BYTES
    if weight > half then return end
    if young.bytes + weight > half then age() end
    young.states[id] = state
    young.bytes = young.bytes + weight
    account:add(weight)
  end

  local function recall(id)
    local state = young.states[id]
    if state then return state end
    state = old.states[id]
    if state then remember(id, state) end
    return state
  end

  ---@return integer entries, integer bytes
  function states.cached()
    local count = 0
    for id in pairs(young.states) do
      if not old.states[id] then count = count + 1 end
    end
    for _ in pairs(old.states) do count = count + 1 end
    return count, young.bytes + old.bytes
  end

  --- Pruned versions must not be answered from memory. What they took is counted until their generation goes.
  ---@param id string
  function states.forget(id)
    young.states[id], old.states[id] = nil, nil
  end

  -- Reading ------------------------------------------------------------------------------------------------------

  --- The text of a version's snapshot; nil without an error when it has none, and then the number of the first part that is missing, where somebody was
  --- killed while it was written.
  ---@param id string
  ---@return string?, inner_universe.Error?, integer? missing
  function states.snapshot_text(id)
    local rows, err = ctx.conn:select("state_snapshot", {
      filters = { { field = "version_id", operator = "Equals", value = id } }, order_by = "part",
    })
    if not rows then return nil, err end
    if #rows == 0 then return nil end
    local texts = {}
    for i, row in ipairs(rows) do
      if not ENCODINGS[row.encoding] or row.encoding ~= rows[1].encoding or row.part ~= i - 1 or row.parts ~= rows[1].parts or row.parts < #rows then
        return damaged(id, UNREADABLE, i - 1)
      end
      texts[i] = row.data
    end
    if rows[1].parts > #rows then return nil, nil, #rows end
    local text = table.concat(texts)
    if rows[1].encoding == "json" then return text end
    text, err = iu.gunzip(text, STATE_MAX)
    if not text then return damaged(id, "its snapshot: %s", err.message) end
    return text
  end

  --- The delta that leads to a version: { base_version_id, operations, bytes }; nil without an error when it has none.
  ---@param id string
  ---@return table?, inner_universe.Error?
  function states.delta(id)
    local rows, err = ctx.conn:select("delta_record", {
      filters = { { field = "state_version_id", operator = "Equals", value = id }, { field = "kind", operator = "Equals", value = "chain" } },
    })
    if not rows then return nil, err end
    local row = rows[1]
    if not row then return nil end
    local operations, why = iu.diff.from_rows(row.operations)
    if not operations then return damaged(id, "its delta: %s", why.message) end
    return { base_version_id = row.base_version_id, operations = operations, bytes = states.bytes_of(row.operations) }
  end

  --- About what operations take in their row.
  ---@param variants table[]
  ---@return integer
  function states.bytes_of(variants)
    local bytes = 0
    for _, variant in ipairs(variants) do
      local fields = variant.value
      bytes = bytes + #fields.path + #(fields.value or "") + #(fields.patch or "") + 16
    end
    return bytes
  end

  local function from_snapshot(id)
    local text, err, missing = states.snapshot_text(id)
    if not text then return nil, err, missing end
    local document, why = iu.json.document(text)
    if not document then return damaged(id, "its snapshot: %s", why.message) end
    return { document = document, bytes = #text, chain = 0, chain_bytes = 0 }
  end

  -- From a version back to one whose state is at hand. What lies between, nearest first.
  local function find_base(id, keep, again)
    local deltas, at = {}, id
    for _ = 1, CHAIN_MAX do
      local state, err, missing = keep and keep[at] or (not keep and recall(at)) or nil, nil, nil
      if not state then state, err, missing = from_snapshot(at) end
      if err then return nil, err end
      if state then return state, deltas, at end
      local delta
      delta, err = states.delta(at)
      if err then return nil, err end
      if not delta or delta.base_version_id == "" then
        if missing then return damaged(at, UNREADABLE, missing) end
        local version
        version, err = versions.get(id)
        if not version then return nil, err end
        if at ~= id then
          if again then return damaged(id, "its state stands on that of %s, which has none", at) end
          return find_base(id, keep, true) -- was it pruned meanwhile? What stood on it got a snapshot before
        end
        return nil, iu.errors.new("VersionNotFoundError", ("version %s was committed without its state"):format(id))
      end
      deltas[#deltas + 1] = { id = at, delta = delta }
      at = delta.base_version_id
    end
    return damaged(id, "more than %d deltas lie before it", CHAIN_MAX)
  end

  --- The state of a version: { document, bytes, chain, chain_bytes }: about how long its text is, how many deltas lie between it and its snapshot, and what
  --- they take. keep: a table of states by id that is used and filled instead of the cache, with every state that was passed; nothing else is trusted then.
  ---@param id string
  ---@param keep? table<string, table>
  ---@return table?, inner_universe.Error?
  function states.load(id, keep)
    local state, deltas, base = find_base(id, keep)
    if not state then return nil, deltas end
    if keep then keep[base] = state end
    for i = #deltas, 1, -1 do
      local step = deltas[i]
      local document, err = iu.diff.apply(state.document, step.delta.operations)
      if not document then return damaged(step.id, "its delta does not fit the state before: %s", err.message) end
      state = {
        document = document, bytes = state.bytes, chain = state.chain + 1, chain_bytes = state.chain_bytes + step.delta.bytes,
      }
      if keep then keep[step.id] = state end
    end
    if not keep then remember(id, state) end
    return state
  end

  --- Is the state what the version's data_hash says, or its tree_hash where that is all it has? true, or nil and a StorageError.
  ---@param version inner_universe.Version
  ---@param state table
  ---@return true?, inner_universe.Error?
  function states.check(version, state)
    local expected, hash_of = version.data_hash, iu.json.hash
    if not expected then expected, hash_of = version.tree_hash, iu.json.tree_hash end
    if not expected then return true end
    local hash, err = hash_of(state.document)
    if not hash then return nil, err end
    if hash == expected then return true end
    local _, failure = damaged(version.version_id, "its state does not match its hash")
    failure.details.expected, failure.details.found = expected, hash
    return nil, failure
  end

  --- The hash by which a state is known to be the version's.
  ---@param version { data_hash?: string, tree_hash?: string }
  ---@return string?
  function states.hash_of(version) return version.data_hash or version.tree_hash end

  --- As `load`, checked against the version's hash; a state that is in the cache was.
  ---@param version { version_id: string, data_hash?: string, tree_hash?: string }
  ---@return table?, inner_universe.Error?
  function states.read(version)
    local id, expected = version.version_id, states.hash_of(version)
    local state = recall(id)
    if state and state.hash == expected then return state end
    states.forget(id)
    local ok, err
    state, err = states.load(id)
    if not state then return nil, err end
    ok, err = states.check(version, state)
    if not ok then -- it may stand on one in the cache that is of before
      local passed = {}
      state = states.load(id, passed)
      for each in pairs(passed) do states.forget(each) end
      if not state or not states.check(version, state) then
        states.forget(id)
        return nil, err
      end
      remember(id, state)
    end
    state.hash = expected
    return state
  end

  -- Writing ------------------------------------------------------------------------------------------------------

  --- Any state as a document.
  ---@param state table|userdata
  ---@return table? document, inner_universe.Error?
  function states.document(state)
    if type(state) == "userdata" then return state end
    local text, err = iu.json.encode(state)
    if not text then return nil, err end
    return iu.json.document(text)
  end

  --- A document as the parts of a snapshot; the bytes of all of them, and of its text. `aside`: compressed on another thread, while others run.
  ---@param document table
  ---@param aside? boolean
  ---@return table[]? parts, inner_universe.Error? err, integer? packed, integer? plain
  function states.parts_of(document, aside)
    local text, err = iu.json.encode(document)
    if not text then return nil, err end
    local packed
    if aside then packed, err = ctx.conn:gzip(text) else packed, err = iu.gzip(text) end
    if not packed then return nil, err end
    local parts, size = {}, ctx.config.part_bytes
    for at = 1, #packed, size do parts[#parts + 1] = { encoding = "json+gzip", data = packed:sub(at, at + size - 1) } end
    return parts, nil, #packed, #text
  end

  --- A snapshot beside a version that may be there or not yet; true, or nil, err.
  ---@param id string
  ---@param parts table[]
  ---@return true?, inner_universe.Error?
  function states.put_snapshot(id, parts)
    for i, part in ipairs(parts) do
      local ok, err = ctx.conn:call("put_snapshot", id, i - 1, #parts, part.encoding, part.data)
      if not ok then return nil, err end
    end
    return true
  end

  -- A snapshot that is written before its version leaves a mark (a plugin_record), by which upkeep finds what somebody who was killed meanwhile left.

  --- The parts of a version that is not there yet; true, or nil, err. `unstage` follows.
  ---@param id string
  ---@param parts table[]
  ---@return true?, inner_universe.Error?
  function states.stage(id, parts)
    local ok, err = ctx.conn:call("put_record", STAGED .. id, "{}", 0, nil)
    if not ok then ctx.log.debug("version %s is written without a mark: %s", id, err.message) end -- who may not keep records may commit
    return states.put_snapshot(id, parts)
  end

  --- Its mark goes, and with `undone` its parts. Nobody waits for it.
  ---@param id string
  ---@param undone? boolean
  function states.unstage(id, undone)
    local conn = ctx.conn
    if ctx.is_closed() then return end -- closed meanwhile: a pruning finds the mark
    if undone then conn:send("prune_versions", {}, {}, { id }) end
    conn:send("delete_record", STAGED .. id, nil)
  end

  --- The ids of versions whose parts were begun to be written so many seconds ago, and not ended.
  ---@param seconds number
  ---@return string[]? ids, inner_universe.Error?
  function states.left_staged(seconds)
    local rows, err = ctx.conn:select("plugin_record", { filters = {
      { field = "key", operator = "GreaterOrEqual", value = STAGED }, { field = "key", operator = "LessThan", value = STAGED_END },
    } })
    if not rows then return nil, err end
    local ids, limit = {}, iu.now() - math.floor(seconds * 1e6)
    for _, row in ipairs(rows) do
      if row.updated_at <= limit then ids[#ids + 1] = row.key:sub(#STAGED + 1) end
    end
    return ids
  end

  --- The delta that leads from a version to the next, as the commit's call takes it, and about what it takes.
  ---@param base string
  ---@param operations inner_universe.Operation[]
  ---@return table? delta, integer|inner_universe.Error bytes
  function states.delta_of(base, operations)
    local variants, err = iu.diff.to_rows(operations)
    if not variants then return nil, err end
    return { base_version_id = base, operations = variants, metadata = { description = "", tags = {} } }, states.bytes_of(variants)
  end

  --- Is a snapshot due after so many deltas of so many bytes? `patience` times as many, for those who write it elsewhere.
  ---@param chain integer
  ---@param chain_bytes integer
  ---@param bytes integer of the state at the last snapshot
  ---@param patience? integer
  ---@return boolean
  function states.is_due(chain, chain_bytes, bytes, patience)
    return chain >= ctx.config.snapshot_every * (patience or 1) or chain_bytes > bytes / 2 * (patience or 1)
  end

  --- What a commit writes for a state: its delta and its snapshot, and the state as `load` would give it.
  ---@param document table
  ---@param parent? table the parent's state
  ---@param parent_id? string
  ---@return { delta?: table, snapshot: table[], staged?: table[], state: table }?, inner_universe.Error?
  function states.plan(document, parent, parent_id)
    local plan = { snapshot = {}, state = { document = document, chain = 0, chain_bytes = 0, bytes = 0 } }
    local bytes = math.huge
    if parent then
      local operations, err = iu.diff.compare(parent.document, document)
      if not operations then return nil, err end
      plan.delta, bytes = states.delta_of(parent_id, operations)
      if not plan.delta then return nil, bytes end
      plan.state.bytes, plan.state.chain, plan.state.chain_bytes = parent.bytes, parent.chain + 1, parent.chain_bytes + bytes
    end
    if parent and not states.is_due(plan.state.chain, plan.state.chain_bytes, parent.bytes) then return plan end
    local parts, why, packed, plain = states.parts_of(document)
    if not parts then return nil, why end
    if bytes > plain then plan.delta = nil end -- larger than the state itself, which is written anyway
    plan.state.bytes, plan.state.chain, plan.state.chain_bytes = plain, 0, 0
    if packed > ctx.config.commit_bytes then plan.staged = parts else plan.snapshot = parts end
    return plan
  end

  --- Gives a version a snapshot of its own, if it has none.
  ---@param id string
  ---@param keep table<string, table>
  ---@return boolean?, inner_universe.Error? written
  function states.ground(id, keep)
    local text, err, missing = states.snapshot_text(id)
    if text then return false end
    if err then return nil, err end
    local state
    state, err = states.load(id, keep)
    if not state then return nil, err end
    local parts
    parts, err = states.parts_of(state.document)
    if not parts then return nil, err end
    local ok = true
    if missing then ok, err = ctx.conn:call("prune_versions", {}, {}, { id }) end -- its parts may be of another size
    if ok then ok, err = states.put_snapshot(id, parts) end
    if not ok then return nil, err end
    return true
  end

  states.remember = remember

  return states
end
