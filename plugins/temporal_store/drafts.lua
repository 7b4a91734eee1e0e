-- drafts.lua: drafts as users have them. overlay.lua records what is changed in the table; here a commit makes a version of it, at the cost of the change: the
-- operations are the delta, a hash tree in the core follows them, and a snapshot that becomes due is written afterwards (or, where the loop does not turn,
-- by a commit when the chain has become PATIENCE times as long, and when the store closes). Killed in between, a version just has a longer chain.
-- `made` and `made_bytes` count all the deltas, `based` and `based_bytes` those up to the last snapshot: what lies between is the chain.
--
-- A draft remembers `trunk`, the document of the last snapshot (or of where it began), and the operations committed since: a snapshot is made of them.

local iu = require "inner_universe"

local plugin = ...
local overlay = plugin.load "overlay"

local PATIENCE = 4 -- times a snapshot may be late
local NOTHING = { chain = 0, chain_bytes = 0, bytes = 0 } -- stored so far
local SPARE = 16 << 20 -- bytes that a hash tree may have taken up before it is made anew, at least

---@class inner_universe.Draft
local Methods = {}

---@param env { ctx: table, versions: table, states: table, commit: function, read_options: function, closed: function }
return function(env)
  local ctx, versions, states, check = env.ctx, env.versions, env.states, env.ctx.check
  local drafts = {}
  local by_table = setmetatable({}, { __mode = "k" }) -- what users hold, to drafts
  local late = {} -- drafts that owe a snapshot

  local function draft_of(self, method)
    local draft = by_table[self]
    if not draft then error(("bad argument #1 to '%s' (draft expected, got %s)"):format(method, type(self)), 3) end
    return draft
  end

  -- What was committed, as a document.
  local function committed(draft)
    if #draft.pending == 0 then return draft.trunk end
    return iu.diff.apply(draft.trunk, draft.pending)
  end

  -- Snapshots --------------------------------------------------------------------------------------------------------

  local function count_from(draft, state)
    draft.made, draft.made_bytes, draft.bytes = state.chain, state.chain_bytes, state.bytes
    draft.based, draft.based_bytes = 0, 0
  end

  local function write_snapshot(draft, aside)
    local id, made, made_bytes = draft.head, draft.made, draft.made_bytes
    if draft.rewritten then return true end -- what it holds of its head is of before
    local document, err = committed(draft)
    if not document then return nil, err end
    draft.trunk, draft.pending = document, {}
    if draft.tree and draft.tree:spare() > math.max(SPARE, draft.bytes) then draft.tree = nil end
    local parts, why, _, bytes = states.parts_of(document, aside)
    if not parts then return nil, why end
    if env.closed() or draft.rewritten then return true end -- the store's end has written what was due
    local ok
    ok, err = states.put_snapshot(id, parts)
    if not ok then return nil, err end
    if made < draft.based then return true end -- a commit could not wait for this one, and has written a later one
    draft.based, draft.based_bytes, draft.bytes = made, made_bytes, bytes
    if draft.head == id then states.remember(id, { document = document, bytes = bytes, chain = 0, chain_bytes = 0 }) end
    if not draft.tree then draft.tree = iu.json.hash_tree(document) end
    return true
  end

  -- aside: a task of its own does it, which may wait. Who cannot wait for it writes one more.
  local function try_snapshot(draft, aside)
    local how = aside and "aside" or "at_once"
    if not late[draft] or draft[how] or env.closed() then return end
    draft[how] = true -- commits that come while it waits owe nothing yet
    local ok, err = write_snapshot(draft, aside)
    draft[how] = false
    if not draft.aside and not draft.at_once then late[draft] = nil end
    if not ok and not env.closed() then ctx.log.warn("the snapshot of version %s was not written, its chain grows: %s", draft.head, err.message) end
  end

  local function is_due(draft, patience)
    return states.is_due(draft.made - draft.based, draft.made_bytes - draft.based_bytes, draft.bytes, patience)
  end

  local function owe_snapshot(draft)
    if is_due(draft, PATIENCE) then
      late[draft] = true
      try_snapshot(draft)
    elseif not late[draft] and is_due(draft) then
      late[draft] = true
      iu.spawn(try_snapshot, draft, true)
    end
  end

  --- Before the store closes. Where the Lua state is being closed without that, documents may be gone before.
  function drafts.finish()
    for draft in pairs(late) do
      if iu.json.is_document(draft.trunk) then try_snapshot(draft) end
    end
  end

  -- Committing -------------------------------------------------------------------------------------------------------

  -- The first version of a draft whose state is not what the branch has: as any commit, at the cost of the state.
  local function commit_whole(draft, what)
    local id, err
    id, err = env.commit(what, draft.head)
    if not id then return nil, err end
    local state = what.state
    draft.trunk, draft.pending, draft.is_stored = what.document, {}, true
    count_from(draft, state)
    return id
  end

  local function commit_change(draft, what, operations)
    local delta, bytes = states.delta_of(draft.head, operations)
    if not delta then return nil, bytes end
    local id, row = iu.uuid(), nil
    if ctx.settings.backend == "spacetimedb" then -- elsewhere nobody else writes, and `rewritten` tells
      local err
      row, err = ctx.conn:get("state_version", draft.head)
      if err then return nil, err end
      draft.rewritten = row and draft.hash and row.data_hash ~= draft.hash and row.tree_hash ~= draft.hash
    end
    if draft.rewritten then
      return nil, iu.errors.new("ConflictError", ("commit: a migration gave version %s another state: begin a draft anew (track)"):format(draft.head))
    end
    local ok, err = versions.commit(row, {
      parent_version_id = draft.head, description = what.description, data_hash = "", branch = draft.branch, author = what.author, tags = what.tags,
      metadata = what.metadata, merge_parent_id = "", tree_hash = what.tree_hash, expected_head = draft.head, delta = delta, snapshot = {}, id = id,
    })
    if not ok then return nil, err end
    table.move(operations, 1, #operations, #draft.pending + 1, draft.pending)
    draft.made, draft.made_bytes = draft.made + 1, draft.made_bytes + bytes
    return id
  end

  -- The hash of what is to be committed. The tree is then ahead of what is committed.
  local function hash_of(draft, for_hash)
    local err
    if not draft.tree then
      local document
      document, err = committed(draft)
      if not document then return nil, err end
      draft.tree, err = iu.json.hash_tree(document)
      if not draft.tree then return nil, err end
    end
    return draft.tree:apply(for_hash)
  end

  --- Stores what the draft is now as the next version of its branch. The version's id. After a failure the draft is as it was.
  ---@param description? string
  ---@param options? { author?: string, tags?: string[], metadata?: table }
  ---@return string? version_id
  ---@return inner_universe.Error? err ConflictError: the branch has moved since the draft was begun
  function Methods:commit(description, options)
    local draft = draft_of(self, "commit")
    if env.closed() then check.raise("temporal_store is closed") end
    check.optional(description, "string", 1, "commit", "description")
    check.optional(options, "table", 2, "commit", "options")
    local ok, err = check.options("commit", options, { author = "string", tags = "table", metadata = "table" })
    if not ok then return nil, err end
    if draft.busy then return nil, iu.errors.new("ConflictError", "commit: another commit of this draft is under way") end
    local what
    what, err = env.read_options(options or {}, description)
    if not what then return nil, err end
    what.branch = draft.branch
    local operations, for_hash = overlay.operations(draft.live)
    if not operations then return nil, for_hash end
    what.tree_hash, err = hash_of(draft, for_hash)
    if what.tree_hash and not draft.is_stored then what.document, err = states.document(draft.live.table) end
    if not what.tree_hash or not (draft.is_stored or what.document) then
      draft.tree = nil -- made anew by the next one
      return nil, err
    end
    draft.busy = true
    local settled = overlay.settle(draft.live) -- others may go on changing it while this one waits
    local id
    if draft.is_stored then id, err = commit_change(draft, what, operations) else id, err = commit_whole(draft, what) end
    draft.busy = false
    if not id then
      overlay.unsettle(settled)
      draft.tree = nil
      return nil, err
    end
    draft.head, draft.hash = id, what.tree_hash
    owe_snapshot(draft)
    return id
  end

  --- Takes back the last step (an assignment; all those of a table.insert or table.remove); one that was committed, too. Whether there was one.
  ---@return boolean
  function Methods:undo()
    return overlay.undo(draft_of(self, "undo").live)
  end

  --- Does again what undo took back, while nothing else was changed. Whether there was something.
  ---@return boolean
  function Methods:redo()
    return overlay.redo(draft_of(self, "redo").live)
  end

  --- The operations since the last commit.
  ---@return inner_universe.Operation[]? operations
  ---@return inner_universe.Error? err
  function Methods:changes()
    local operations, err = overlay.operations(draft_of(self, "changes").live)
    if not operations then return nil, err end
    local text
    text, err = iu.json.encode(operations) -- parts of documents become tables
    if not text then return nil, err end
    return iu.json.decode(text)
  end

  --- The state as tables of one's own.
  ---@return any
  function Methods:totable()
    return overlay.totable(draft_of(self, "totable").live.table)
  end

  -- Beginning --------------------------------------------------------------------------------------------------------

  -- What the branch has: its head ("" for none), and the state.
  local function branch_state(branch)
    local head, err = versions.head(branch)
    if err then return nil, err end
    if not head then return "" end
    local version, state
    version, err = versions.get(head)
    if not version then return nil, err end
    state, err = states.read(version)
    if not state then return nil, err end
    return head, state
  end

  ---@param initial? table|inner_universe.Document
  ---@param branch string
  ---@return table? live, inner_universe.Error? err
  function drafts.track(initial, branch)
    local head, state = branch_state(branch)
    if not head then return nil, state end
    local document, err
    if initial == nil then
      document = state and state.document or iu.json.document("{}")
    else
      document, err = states.document(initial)
      if not document then return nil, err end
    end
    if not iu.json.document_kind(document) then return nil, iu.errors.new("ValidationError", "track: initial: expected an object or an array, got a scalar") end
    local draft = { branch = branch, head = head, hash = state and state.hash, pending = {}, trunk = document }
    draft.is_stored = state ~= nil and state.document == document
    count_from(draft, draft.is_stored and state or NOTHING)
    draft.tree, err = iu.json.hash_tree(document)
    if not draft.tree then return nil, err end
    draft.live = overlay.new(document, Methods)
    by_table[draft.live.table] = draft
    return draft.live.table
  end

  --- A version has another state than it had: drafts that stand on it cannot be committed.
  ---@param id string
  function drafts.rewritten(id)
    for _, draft in pairs(by_table) do
      if draft.head == id then draft.rewritten = true end
    end
  end

  ---@param live table
  ---@return inner_universe.Draft? draft, inner_universe.Error? err
  function drafts.handle(live)
    local draft = by_table[live]
    if not draft then return nil, iu.errors.new("ValidationError", "draft: expected a table that track gave") end
    local handle = setmetatable({}, { __index = Methods, __name = "inner_universe.Draft" })
    by_table[handle] = draft
    return handle
  end

  return drafts
end
