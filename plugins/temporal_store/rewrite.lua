-- rewrite.lua: another state for a version that is there already, as a migration of states gives it: the operations of `transact` that do it, for whoever
-- makes them one transaction with something of its own.
--
-- Order is the caller's: the youngest first. A version's old state stands on rows of older ones, so it is read before those change; a new delta stands on the
-- new state of its base, which the caller names and must write, too. What is not given a base stands by itself, on a snapshot.

local iu = require "inner_universe"

---@param ctx table
---@param versions table
---@param states table
return function(ctx, versions, states)
  local rewrite = {}

  local function chain_row(id)
    local rows, err = ctx.conn:select("delta_record", {
      filters = { { field = "state_version_id", operator = "Equals", value = id }, { field = "kind", operator = "Equals", value = "chain" } },
    })
    if not rows then return nil, err end
    return rows[1]
  end

  local function import(operations, table_name, row)
    local bytes, err = ctx.conn:row_bytes(table_name, row)
    if not bytes then return nil, err end
    operations[#operations + 1] = { tag = "ImportRows", value = { table = table_name, rows = { bytes } } }
    return true
  end

  -- The version's row with the hashes it had anew, those before under `note` in its metadata.
  local function add_version(operations, id, document, note)
    local row, err = ctx.conn:get("state_version", id)
    if not row then return nil, err end
    local metadata = row.metadata ~= "" and iu.json.decode(row.metadata) or {}
    local before = iu.object { data_hash = row.data_hash ~= "" and row.data_hash or nil, tree_hash = row.tree_hash ~= "" and row.tree_hash or nil }
    for key, value in pairs(note) do before[key] = value end
    local list = iu.array(type(metadata.migrations) == "table" and metadata.migrations or {})
    list[#list + 1] = before
    metadata.migrations = list
    row.metadata, err = iu.json.encode(metadata)
    if not row.metadata then return nil, err end
    for key, hash_of in pairs { data_hash = iu.json.hash, tree_hash = iu.json.tree_hash } do
      if row[key] ~= "" then
        row[key], err = hash_of(document)
        if not row[key] then return nil, err end
      end
    end
    return import(operations, "state_version", row)
  end

  local function add_snapshot(operations, id, document)
    local parts, err = states.parts_of(document)
    if not parts then return nil, err end
    for i, part in ipairs(parts) do
      operations[#operations + 1] = { tag = "PutSnapshot",
        value = { version_id = id, part = i - 1, parts = #parts, encoding = part.encoding, data = part.data } }
    end
    return true
  end

  --- The version that a version's delta stands on; nil where it has none.
  ---@param id string
  ---@return string? base_version_id
  ---@return inner_universe.Error? err
  function rewrite.base_of(id)
    local row, err = chain_row(id)
    if not row or row.base_version_id == "" then return nil, err end
    return row.base_version_id
  end

  --- The operations that give a version this state. base: the document that the base of its delta has, or will have; without one it gets a snapshot and no
  --- delta. note: what its metadata keeps beside the old hashes; without a note hashes and metadata stay, for a state that is the same.
  ---@param id string
  ---@param document table
  ---@param options { base?: table, note?: table }
  ---@return table[]? operations
  ---@return inner_universe.Error? err
  function rewrite.operations(id, document, options)
    local operations = {}
    local delta, err = chain_row(id)
    if err then return nil, err end
    local snapshot, why, missing = states.snapshot_text(id)
    if why then return nil, why end
    local on_base = delta and options.base
    local gone = iu.array {}
    if delta and not on_base then gone[1] = delta.delta_id end
    local parts_gone = iu.array {}
    if snapshot or missing then parts_gone[1] = id end
    if #gone + #parts_gone > 0 then
      operations[1] = { tag = "PruneVersions", value = { version_ids = iu.array {}, delta_ids = gone, snapshot_version_ids = parts_gone } }
    end
    if on_base then
      local changes
      changes, err = iu.diff.compare(options.base, document)
      if not changes then return nil, err end
      delta.operations, err = iu.diff.to_rows(changes)
      if not delta.operations then return nil, err end
      local ok, failed = import(operations, "delta_record", delta)
      if not ok then return nil, failed end
    end
    if snapshot or not on_base then
      local ok, failed = add_snapshot(operations, id, document)
      if not ok then return nil, failed end
    end
    if options.note then
      local ok, failed = add_version(operations, id, document, options.note)
      if not ok then return nil, failed end
    end
    return operations
  end

  --- What others committed since a list of versions was made, on one of them: the list's `known` ids, and those of earlier calls, are passed over. And what
  --- proves that nobody commits on `id` before a transaction: Expect operations of the branches that are there.
  ---@param known table<string, true>
  ---@param id string
  ---@return inner_universe.Version[]? versions
  ---@return inner_universe.Error|table[] proofs
  function rewrite.newcomers(known, id)
    local rows, err = ctx.conn:select("state_branch", {})
    if not rows then return nil, err end
    local found, proofs, seen = {}, {}, {}
    for _, row in ipairs(rows) do
      local at = row.head_version_id
      if at == id and row.kind == "branch" then
        local bytes, why = ctx.conn:row_bytes("state_branch", row)
        if not bytes then return nil, why end
        proofs[#proofs + 1] = { tag = "Expect", value = { table = "state_branch", key = row.name, row = bytes } }
      end
      while at and not known[at] and not seen[at] do
        seen[at] = true
        local version, why = versions.get(at)
        if not version and why.kind ~= "VersionNotFoundError" then return nil, why end -- pruned meanwhile
        found[#found + 1] = version
        at = version and version.parent_version_id
      end
    end
    return found, proofs
  end

  --- All versions, the youngest first: what stands on another comes before it.
  ---@return inner_universe.Version[]? list
  ---@return inner_universe.Error? err
  function rewrite.youngest_first()
    local list, place = {}, {}
    local ok, err = versions.each(function(version)
      list[#list + 1] = version
      place[version.version_id] = #list
      return true
    end)
    if not ok then return nil, err end
    -- Times may be equal, or go back with a clock: parents first, each chain followed to what was placed already.
    local out, placed = {}, {}
    for _, version in ipairs(list) do
      local chain, at = {}, version
      while at and not placed[at.version_id] do
        placed[at.version_id] = true
        chain[#chain + 1] = at
        at = list[place[at.parent_version_id or ""] or 0]
      end
      for i = #chain, 1, -1 do out[#out + 1] = chain[i] end
    end
    for i = 1, #out // 2 do out[i], out[#out + 1 - i] = out[#out + 1 - i], out[i] end
    return out
  end

  return rewrite
end
