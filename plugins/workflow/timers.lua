-- timers.lua: when which run has to be looked at next: a binary heap of times, one entry per run.
--
-- An entry may be too early (the run was put off meanwhile): whoever takes it out looks at the run, and sets it again. It is never too late.

---@return table timers
return function()
  local timers = {}
  local heap, size = {}, 0
  local at = {} -- uid -> the time of its entry

  local function swap(i, j) heap[i], heap[j] = heap[j], heap[i] end

  local function up(i)
    while i > 1 and heap[i].time < heap[i // 2].time do
      swap(i, i // 2)
      i = i // 2
    end
  end

  local function down(i)
    while true do
      local least = i
      for child = 2 * i, 2 * i + 1 do
        if child <= size and heap[child].time < heap[least].time then least = child end
      end
      if least == i then return end
      swap(i, least)
      i = least
    end
  end

  --- Has the run come up at that time (microseconds), or before.
  function timers.set(uid, time)
    if at[uid] and at[uid] <= time then return false end
    at[uid] = time
    size = size + 1
    heap[size] = { uid = uid, time = time }
    up(size)
    return true
  end

  --- The next run whose time has come, or nil.
  function timers.take(now)
    while size > 0 and heap[1].time <= now do
      local entry = heap[1]
      heap[1] = heap[size]
      heap[size] = nil
      size = size - 1
      if size > 0 then down(1) end
      if at[entry.uid] == entry.time then -- else an earlier one took its place, and has come up
        at[entry.uid] = nil
        return entry.uid
      end
    end
  end

  --- When the next one comes up, or nil.
  function timers.next() return size > 0 and heap[1].time or nil end

  return timers
end
