-- check_versions.lua: of `iu check`: every version's state, from the rows alone: its snapshot, or the state of its base and the delta that leads to it
-- (plugins/temporal_store/README.md tells how they lie there), against its hash. A state is kept while a delta still stands on it, so of one line one or two
-- at a time.
local core = require("inner_universe.core")
local iu = require("inner_universe")
local out = require("inner_universe.cli.out")

local STATE_MAX = 1 << 30 -- bytes of a state's text
local ENCODINGS = { json = true, ["json+gzip"] = true }

local versions = {}

-- The text of a version's snapshot; nil: it has none. nil, text: what is wrong with it; and true where it just was not written to its end, which a
-- version that has a delta can do without.
local function snapshot_text(conn, id)
  local rows = assert(conn:select("state_snapshot", { filters = { { "version_id", "Equals", core.json_encode(id) } }, order_by = "part" }))
  if #rows == 0 then return nil end
  local texts, encoding = {}, rows[1].encoding
  for i, row in ipairs(rows) do
    if row.part ~= i - 1 or row.parts ~= rows[1].parts or row.parts < #rows then
      return nil, ("part %d of %d is where part %d should be"):format(row.part, row.parts, i - 1)
    end
    if not ENCODINGS[row.encoding] or row.encoding ~= encoding then return nil, ("its encoding '%s' is not known"):format(row.encoding) end
    texts[i] = row.data
  end
  if rows[1].parts > #rows then return nil, ("part %d of %d is missing"):format(#rows, rows[1].parts), true end
  local text = table.concat(texts)
  if encoding == "json" then return text end
  local plain, err = core.gunzip(text, STATE_MAX)
  return plain, not plain and out.message(err) or nil
end

local function from_snapshot(conn, id)
  local text, wrong, unfinished = snapshot_text(conn, id)
  if not text then return nil, wrong, unfinished end
  local document = iu.json.document(text)
  if not document then return nil, "is no JSON" end
  return document
end

-- walk: { conn, deltas = by version, children = deltas that stand on a version, states = of versions with children left }
-- The state; nil: it was committed without one. nil, text: what is wrong.
local function state_of(walk, id)
  local steps, at, state, wrong = {}, id, walk.states[id], nil
  while not state do
    local unfinished
    state, wrong, unfinished = from_snapshot(walk.conn, at)
    local delta = walk.deltas[at]
    if unfinished and delta and delta.base_version_id ~= "" then wrong = nil end
    if state or wrong then break end
    if not delta or delta.base_version_id == "" then
      if at == id then return nil end
      return nil, ("it stands on that of `%s`, which has none"):format(at)
    end
    if #steps > walk.count then return nil, "the deltas before it go round in a circle" end
    steps[#steps + 1] = at
    at = delta.base_version_id
    state = walk.states[at]
  end
  for i = #steps, 1, -1 do
    if wrong then break end
    local operations, err = iu.diff.from_rows(walk.deltas[steps[i]].operations)
    if operations then state, err = iu.diff.apply(state, operations) end
    if not operations or not state then wrong = ("the delta to `%s` does not fit: %s"):format(steps[i], out.message(err)) end
  end
  if wrong then return nil, wrong end
  return state
end

local function done_with(walk, id, state)
  if walk.children[id] then walk.states[id] = state end
  local base = walk.deltas[id] and walk.deltas[id].base_version_id
  if not base or not walk.children[base] then return end
  walk.children[base] = walk.children[base] > 1 and walk.children[base] - 1 or nil
  if not walk.children[base] then walk.states[base] = nil end
end

local function check_one(walk, version, add, result)
  local id = version.version_id
  for _, parent in ipairs({ "parent_version_id", "merge_parent_id" }) do
    if version[parent] ~= "" and not walk.conn:get("state_version", version[parent]) then
      add(true, "state_version", "the version `%s`: its %s `%s` is not there (any more)", id, parent, version[parent])
    end
  end
  local state, wrong = state_of(walk, id)
  if wrong then
    add(false, "state_snapshot", "the state of version `%s`: %s", id, wrong)
  elseif state and (version.data_hash ~= "" or version.tree_hash ~= "") then
    local of_text = version.data_hash ~= ""
    local hash, expected = (of_text and iu.json.hash or iu.json.tree_hash)(state), of_text and version.data_hash or version.tree_hash
    result.hashes = result.hashes + 1
    if hash ~= expected then
      add(false, "state_version", "the state of version `%s` has the hash %s, and the version says %s", id, hash, expected)
    end
  end
  done_with(walk, id, state)
end

---@param conn inner_universe.core.Connection
---@param add fun(warning: boolean, table: string, format: string, ...)
---@param result table gets `hashes`: how many were computed anew
function versions.check(conn, add, result)
  local walk = { conn = conn, deltas = {}, children = {}, states = {}, count = 0 }
  result.hashes = 0
  for _, delta in ipairs(assert(conn:select("delta_record", { filters = { { "kind", "Equals", '"chain"' } } }))) do
    walk.deltas[delta.state_version_id] = delta
    walk.children[delta.base_version_id] = (walk.children[delta.base_version_id] or 0) + 1
    walk.count = walk.count + 1
  end
  for _, version in ipairs(assert(conn:select("state_version", { order_by = "timestamp" }))) do check_one(walk, version, add, result) end
end

return versions
