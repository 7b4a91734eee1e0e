-- ancestry.lua: which versions two lines have in common. A version's time is never before its parents', so both lines are walked from the youngest version
-- down, and what both have reached is common; the walk ends when only versions behind common ones are left.

---@param versions table versions.lua
return function(versions)
  local ancestry = {}

  local OURS, THEIRS, STALE = 1, 2, 4

  -- A binary heap, the youngest version first.
  local function younger(a, b)
    if a.timestamp ~= b.timestamp then return a.timestamp > b.timestamp end
    return a.version_id > b.version_id
  end

  local function push(heap, version)
    local at = #heap + 1
    heap[at] = version
    while at > 1 and younger(heap[at], heap[at // 2]) do
      heap[at], heap[at // 2] = heap[at // 2], heap[at]
      at = at // 2
    end
  end

  local function pop(heap)
    local top, last = heap[1], table.remove(heap)
    if #heap == 0 then return top end
    heap[1] = last
    local at = 1
    while true do
      local child = 2 * at
      if child > #heap then return top end
      if child < #heap and younger(heap[child + 1], heap[child]) then child = child + 1 end
      if not younger(heap[child], heap[at]) then return top end
      heap[at], heap[child] = heap[child], heap[at]
      at = child
    end
  end

  --- The parents of a version that are still there.
  ---@param version inner_universe.Version
  ---@return inner_universe.Version[]?, inner_universe.Error?
  function ancestry.parents(version)
    local out = {}
    for _, key in ipairs { "parent_version_id", "merge_parent_id" } do
      local id = version[key]
      if id then
        local parent, err = versions.get(id)
        if not parent and err.kind ~= "VersionNotFoundError" then return nil, err end -- pruned: the line ends here
        out[#out + 1] = parent
      end
    end
    return out
  end

  --- The best common ancestors of two versions, the youngest first: those that are no ancestors of another common one. Several where lines crossed.
  ---@param ours inner_universe.Version
  ---@param theirs inner_universe.Version
  ---@return inner_universe.Version[]?, inner_universe.Error?
  function ancestry.common(ours, theirs)
    local marks, heap, fresh, found = {}, {}, 0, {}
    local function mark(version, bits)
      local id = version.version_id
      local old = marks[id] or 0
      if old & bits == bits then return end
      if old & STALE == 0 and bits & STALE ~= 0 and old ~= 0 then fresh = fresh - 1 end
      marks[id] = old | bits
      if old == 0 then
        push(heap, version)
        if bits & STALE == 0 then fresh = fresh + 1 end
      end
    end
    mark(ours, OURS)
    mark(theirs, THEIRS)
    while #heap > 0 and fresh > 0 do
      local version = pop(heap)
      local bits = marks[version.version_id]
      if bits & STALE == 0 then fresh = fresh - 1 end
      if bits & (OURS | THEIRS) == OURS | THEIRS then
        if bits & STALE == 0 then found[#found + 1] = version end
        bits = bits | STALE
      end
      local parents, err = ancestry.parents(version)
      if not parents then return nil, err end
      for _, parent in ipairs(parents) do mark(parent, bits) end
    end
    local best = {}
    for _, version in ipairs(found) do
      if marks[version.version_id] & STALE == 0 then best[#best + 1] = version end
    end
    return best
  end

  return ancestry
end
