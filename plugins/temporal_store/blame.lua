-- blame.lua: which version last changed each leaf under a path. From the version asked about back through its parents: a leaf that is the same in a parent came
-- from there, at the place it had there (elements of arrays move); one that is not was changed by this version.

local iu = require "inner_universe"

local LEAVES_MAX = 100000

local function kind(v)
  if type(v) ~= "table" then return nil end
  if getmetatable(v) == getmetatable(iu.array()) then return "array" end
  return "object"
end

local function collect(v, path, out)
  local what = kind(v)
  if not what or next(v) == nil then
    out[#out + 1] = { shown = path, path = path, value = v }
    return #out <= LEAVES_MAX
  end
  if what == "array" then
    for i = 1, #v do
      if not collect(v[i], iu.diff.join(path, i - 1), out) then return false end
    end
    return true
  end
  local keys = {}
  for key in pairs(v) do keys[#keys + 1] = key end
  table.sort(keys)
  for _, key in ipairs(keys) do
    if not collect(v[key], iu.diff.join(path, key), out) then return false end
  end
  return true
end

-- The value at segments, nil where there is none.
local function at(v, segments)
  for _, segment in ipairs(segments) do
    local what = kind(v)
    if not what then return nil end
    local key = segment
    if what == "array" then
      local index = iu.diff.index(segment)
      if not index then return nil end
      key = index + 1
    end
    v = v[key]
    if v == nil then return nil end
  end
  return v
end

-- An index into an array after its insertions and removals, as it was before them; nil for what one of them put in.
local function index_before(run, index)
  for i = #run.indexes, 1, -1 do
    local at_index = run.indexes[i]
    if run.removes[i] then
      if index >= at_index then index = index + 1 end
    elseif index == at_index then
      return nil
    elseif index > at_index then
      index = index - 1
    end
  end
  return index
end

-- Where a path that leads somewhere after the operations led before them; nil when what is there came with one of them. runs: the moves, those that follow
-- each other in one array together; first: the run that it begins with.
local function before(segments, runs, first)
  local out = table.move(segments, 1, #segments, 1, {})
  for i = #runs, first, -1 do
    local prefix = runs[i].segments
    local inside = #prefix < #out
    for j = 1, inside and #prefix or 0 do inside = inside and out[j] == prefix[j] end
    local index = inside and iu.diff.index(out[#prefix + 1])
    if index then
      index = index_before(runs[i], index)
      if not index then return nil end
      out[#prefix + 1] = tostring(index)
    end
  end
  return out
end

local function add_move(runs, op, prefix, segments, index)
  local run = runs[#runs]
  if not run or run.path ~= op.path or run.prefix ~= prefix then
    run = { path = op.path, prefix = prefix, segments = segments, indexes = {}, removes = {} }
    runs[#runs + 1] = run
  end
  run.indexes[#run.indexes + 1] = index
  run.removes[#run.indexes] = op.op == "remove"
end

-- Insertions and removals of the operations, with every index said. What was set in place of a container of its kind, because that is shorter to say, is
-- compared inside: its elements may have moved all the same. prefix: where `old`, which the operations are for, lies in the whole.
local function add_moves(runs, operations, old, prefix)
  local first = #runs + 1
  for _, op in ipairs(operations) do
    local own = assert(iu.diff.segments(op.path))
    local segments = table.move(own, 1, #own, #prefix + 1, table.move(prefix, 1, #prefix, 1, {}))
    if op.op == "insert" or op.op == "remove" then
      add_move(runs, op, prefix, segments, op.index or #(at(old, own) or {}))
    elseif op.op == "set" and kind(op.value) then
      local there = before(segments, runs, first)
      local inner = there and at(old, table.move(there, #prefix + 1, #there, 1, {}))
      if inner and kind(inner) == kind(op.value) then
        add_moves(runs, assert(iu.diff.compare(inner, op.value, { in_parts = true })), inner, segments)
      end
    end
  end
  return runs
end

---@param states table
---@param ancestry table
return function(states, ancestry)
  local keep = {}

  local function plain(version)
    local state, err = states.load(version.version_id, keep)
    if not state then return nil, err end
    return iu.json.totable(state.document), nil, state.document
  end

  -- The leaves that `parent` has too, with the paths they had there; the others.
  local function divide(leaves, parent, document)
    local old, err, old_document = plain(parent)
    if err then
      if err.kind == "VersionNotFoundError" then return {}, leaves end -- committed without its state: nothing is known before
      return nil, err
    end
    local operations, why = iu.diff.compare(old_document, document)
    if not operations then return nil, why end
    local runs, same, changed = add_moves({}, operations, old, {}), {}, {}
    for _, leaf in ipairs(leaves) do
      local segments = before(leaf.segments, runs, 1)
      local there = segments and at(old, segments)
      if there ~= nil and iu.diff.equal(there, leaf.value) then
        same[#same + 1] = { shown = leaf.shown, segments = segments, value = leaf.value }
      else
        changed[#changed + 1] = leaf
      end
    end
    return same, changed
  end

  --- Rows { path, value, version_id, author, timestamp, description } for each leaf under the path, in its order.
  ---@param version inner_universe.Version
  ---@param path string
  ---@return table[]?, inner_universe.Error?
  return function(version, path)
    keep = {}
    local segments, err = iu.diff.segments(path)
    if not segments then return nil, err end
    local state, why = plain(version)
    if why then return nil, why end
    local value = at(state, segments)
    if value == nil then
      return nil, iu.errors.new("ValidationError", ('version %s has nothing at path "%s"'):format(version.version_id, path))
    end
    local leaves, found = {}, {}
    if not collect(value, path, leaves) then
      return nil, iu.errors.new("OverloadedError", ('more than %d leaves under path "%s"'):format(LEAVES_MAX, path))
    end
    for _, leaf in ipairs(leaves) do leaf.segments = assert(iu.diff.segments(leaf.path)) end

    -- Versions still to be looked at, with their leaves; the youngest first, so that what comes to one on several ways comes together.
    local open, waiting = { [version.version_id] = { version = version, leaves = leaves } }, 1
    while waiting > 0 do
      local id, entry
      for key, each in pairs(open) do
        local younger = not entry or each.version.timestamp > entry.version.timestamp
          or (each.version.timestamp == entry.version.timestamp and key > id)
        if younger then id, entry = key, each end
      end
      open[id], waiting = nil, waiting - 1
      local document = select(3, plain(entry.version))
      local parents, failure = ancestry.parents(entry.version)
      if not parents then return nil, failure end
      local left = entry.leaves
      for _, parent in ipairs(parents) do
        local same
        same, left = divide(left, parent, document)
        if not same then return nil, left end
        if #same > 0 then
          local there = open[parent.version_id]
          if not there then
            there = { version = parent, leaves = {} }
            open[parent.version_id], waiting = there, waiting + 1
          end
          table.move(same, 1, #same, #there.leaves + 1, there.leaves)
        end
      end
      keep[id] = nil
      for _, leaf in ipairs(left) do found[leaf.shown] = entry.version end
    end
    local rows = {}
    for i, leaf in ipairs(leaves) do
      local by = found[leaf.shown]
      rows[i] = {
        path = leaf.shown, value = leaf.value, version_id = by.version_id, author = by.author, timestamp = by.timestamp, description = by.description,
      }
    end
    keep = {}
    return rows
  end
end
