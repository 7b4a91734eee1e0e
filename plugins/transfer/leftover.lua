-- leftover.lua: the file of a target that a copy or an import made itself, and that ended before anything had arrived: it goes again.
--
-- The file is locked while it is looked at, as others left it: one that somebody else opened meanwhile, and one with anything in it, stays. What a rerun could
-- go on from is never in an empty one: a checkpoint without rows says nothing that the rerun does not find out.

local iu = require "inner_universe"

local plugin = ...
local tables = plugin.load "tables"
local checkpoint = plugin.load "checkpoint"

local M = {}

-- Of one connection, ours: a second one means that somebody else was here.
local function only_our_events(copy)
  local seen = {}
  for row in copy:rows("event_log") do
    if not tables.OWN_EVENTS[row.event_type] or seen[row.event_type] then return false end
    seen[row.event_type] = true
  end
  return true
end

local function only(copy, name, is_own)
  for row in copy:rows(name) do
    if not is_own(row.key) then return false end
  end
  return true
end

local function holds_nothing(copy)
  for _, t in ipairs(copy:tables()) do
    local name = t.name
    local nothing
    if t.nerv and name == "event_log" then nothing = only_our_events(copy)
    elseif t.nerv and name == "config" then nothing = only(copy, name, function(key) return tables.OWN_CONFIG[key] end)
    elseif t.nerv and name == "plugin_record" then nothing = only(copy, name, function(key) return key == checkpoint.KEY end)
    else nothing = t.nerv and tables.NEVER[name] or copy:count(name) == 0 end
    if not nothing then return false end
  end
  return true
end

---Removes the file where there is nothing in it but what every new universe has. Whether it did; what cannot be told stays, and that of a task which was
---cancelled, and so cannot wait any more.
---@param path string of a universe that is closed, and was not there before
---@return boolean
function M.remove(path)
  local ok, copy = pcall(iu.working_copy, path)
  if not ok or not copy then return false end
  local locked <close> = copy
  return holds_nothing(locked) and os.remove(locked.target) == true
end

return M
