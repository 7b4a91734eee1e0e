-- row_history.lua: the recording of changes to rows: which tables are recorded and since when, and how much is kept.
--
-- The module records (core/module/history.c): while the config row `enable_row_history` names a table, each change of it leaves a row of `row_history` with the
-- row as it was before. Here the owner's configuration is put into that row, and what is recorded is kept within its limits: at opening, and every CHECK_EVERY
-- writes of this universe, by prune_history, a slice at a time. Nothing else runs, so a universe that nobody holds can be collected. What is recorded is read
-- in time_travel.lua.

local iu = require "inner_universe"

local KEY = "enable_row_history"
local HEAD = 2 -- the row of event_head that counts row_history
local CHECK_EVERY = 256 -- writes between two looks at the limits
local SLICE = 2000 -- rows that one call prunes
local OLDEST_MAX = 1000 -- rows that are asked of a server to find the oldest
local DAY = 24 * 3600 * 1000000 -- microseconds
local WRITES = {
  "create_entity", "update_entity", "delete_entity", "create_relation", "update_relation", "delete_relation", "transaction",
}

local row_history = { TABLES = { "entity", "relation" } }

local watched -- what is pruned within its limits: { conn, limits, writes, busy }, nil: nothing

local function limit(n)
  return n > 0 and n or nil
end

local function on_server(ctx)
  return ctx.settings.backend == "spacetimedb"
end

--- The tables whose changes are recorded, each with the time since when that is so without a gap.
---@return { entity?: integer, relation?: integer }?, inner_universe.Error?
function row_history.recorded(conn)
  local row, err = conn:get("config", KEY)
  if err then return nil, err end
  local out = {}
  for name in (row and row.value or ""):gmatch("%a+") do
    if name == "entity" or name == "relation" then out[name] = row.updated_at end
  end
  return out
end

--- How much is recorded: { sequence, count, bytes }.
---@return { sequence: integer, count: integer, bytes: integer }?, inner_universe.Error?
function row_history.head(conn)
  local head, err = conn:get("event_head", HEAD)
  if err then return nil, err end
  return head or { sequence = 0, count = 0, bytes = 0 }
end

local function edge(conn, descending)
  local rows, err = conn:select("row_history", { order_by = "timestamp", descending = descending, limit = 1 })
  if not rows then return nil, err end
  return rows[1] and rows[1].timestamp
end

-- Everything before this goes. The youngest row stays, where it can be found cheaply, since the rows that are there tell from when on all is known.
local function cutoff(ctx, conn, days)
  if days == 0 then return nil end
  local before = iu.now() - days * DAY
  if on_server(ctx) then return before end
  local youngest = edge(conn, true)
  return youngest and math.min(before, youngest) or before
end

-- Prunes slice by slice until nothing goes any more. true, or nil, err.
local function prune(ctx, conn)
  local settings = ctx.settings
  local head, err = row_history.head(conn)
  while head and head.count > 0 do
    local ok
    ok, err = conn:call("prune_history", cutoff(ctx, conn, settings.history_keep_days), limit(settings.history_max_rows),
      limit(settings.history_max_bytes), SLICE)
    if not ok then return nil, err end
    local count = head.count
    head, err = row_history.head(conn)
    if head and head.count > count - SLICE then return true end
    if coroutine.isyieldable() and ctx.can_wait() then iu.sleep(0) end
    if ctx.is_closed() or ctx.conn ~= conn or conn:is_closed() then return true end -- closed meanwhile
  end
  return err == nil or nil, err
end

local function check_limits(ctx, conn)
  if watched.busy then return end
  watched.busy = true
  local ok, done, err = pcall(prune, ctx, conn)
  watched.busy = false
  if not ok or not done then ctx.log.warn("row history was not pruned: %s", tostring(ok and err or done)) end
end

--- Counts a write of this universe; looks at the limits from time to time.
function row_history.note(ctx)
  if not watched then return end
  watched.writes = watched.writes + 1
  if watched.writes % CHECK_EVERY == 0 and not ctx.is_closed() then check_limits(ctx, ctx.conn) end
end

local function wanted_by(settings)
  local names = {}
  for i, name in ipairs(settings.history) do names[i] = name end
  return #names > 0 and table.concat(names, ",") or "false"
end

-- "entity,relation" for what a config row says, however it is written.
local function normal(recorded)
  local names = {}
  for _, name in ipairs(row_history.TABLES) do
    if recorded[name] then names[#names + 1] = name end
  end
  return #names > 0 and table.concat(names, ",") or "false"
end

--- At opening: the tables that the configuration names are recorded from now on, where it is this universe's to say. Without the key it stays as it is.
---@return true?, inner_universe.Error?
function row_history.apply(ctx, conn)
  watched = nil
  if ctx.settings.history == nil then return true end
  if not conn:is_owner() and not on_server(ctx) then return true end
  local recorded, err = row_history.recorded(conn)
  if not recorded then return nil, err end
  local wanted, there = wanted_by(ctx.settings), normal(recorded)
  if there ~= wanted and on_server(ctx) then
    ctx.log.warn("history: the server's config says %s, which holds here too", there)
  elseif there ~= wanted then
    local ok
    ok, err = conn:call("update_config", KEY, wanted, "Tables whose changes are recorded.")
    if not ok then return nil, err end
  end
  if conn:is_owner() and wanted ~= "false" and not ctx.settings.snapshot then
    watched = { writes = 0, busy = false }
    check_limits(ctx, conn)
  end
  return true
end

--- Has the manager's writes counted (the client counts its own).
function row_history.follow(ctx)
  for _, name in ipairs(WRITES) do
    ctx.hooks.after(name, function() row_history.note(ctx) end)
  end
end

--- What status() says of it; nil: it cannot be asked, or the connection was closed meanwhile.
---@return table?
function row_history.status(ctx, conn)
  local settings = ctx.settings
  local recorded = row_history.recorded(conn)
  if not recorded or conn:is_closed() then return nil end
  local head = row_history.head(conn)
  if not head or conn:is_closed() then return nil end
  local tables = iu.array {}
  for _, name in ipairs(row_history.TABLES) do
    if recorded[name] then tables[#tables + 1] = name end
  end
  local cheap = not on_server(ctx) or head.count <= OLDEST_MAX
  return {
    enabled = #tables > 0, tables = tables, since = recorded.entity or recorded.relation, count = head.count, bytes = head.bytes,
    oldest = head.count > 0 and cheap and edge(conn) or nil,
    limits = { keep_days = settings.history_keep_days, max_rows = settings.history_max_rows, max_bytes = settings.history_max_bytes },
  }
end

return row_history
