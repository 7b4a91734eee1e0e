-- retention.lua: ended runs go, the oldest first, when there are more than keep_runs, or when they ended longer ago than keep_days.
--
-- It looks at the start, and when a run has ended: after so many of them, or after an hour. A run's records go in slices, the row that tells of its end
-- last: what a crash leaves is removed by the next look. Signals that came too late go with their run.

local iu = require "inner_universe"

local plugin = ...
local records = plugin.load "records"

local EVERY = 64 -- runs that end between two looks
local HOUR = 3600 -- seconds between two looks, when less end
local SLICE = 500 -- records that one transaction removes
local DAY = 24 * 3600 * 1000000

---@param env { ctx: table, manager: table, config: table }
return function(env)
  local ctx = env.ctx
  local retention = { pruned = 0 }
  local ended, looked, busy, stopped = 0, ctx.clock(), false, false

  local function remove(keys)
    for first = 1, #keys, SLICE do
      local ok, err = env.manager:transaction(function(tx)
        for i = first, math.min(first + SLICE - 1, #keys) do assert(tx:join("DeleteRecord", { key = keys[i] })) end
      end)
      if not ok then return nil, err end
    end
    return true
  end

  local function forget(row)
    local uid = row.key:match("[^:]+$")
    local keys = {}
    for _, kind in ipairs { "step", "undo", "signal" } do
      local rows, err = records.select(ctx.conn, kind, uid)
      if not rows then return nil, err end
      for _, each in ipairs(rows) do keys[#keys + 1] = each.key end
    end
    local done = iu.json.decode(row.value)
    if type(done) == "table" and done.id then keys[#keys + 1] = records.run_key(done.id) end
    keys[#keys + 1] = row.key
    return remove(keys)
  end

  --- Removes what is over the limits. How many runs went, or nil, err.
  ---@return integer?, inner_universe.Error?
  function retention.prune()
    local config = env.config
    local rows, err = records.select(ctx.conn, "done", nil, true)
    if not rows then return nil, err end
    local before = config.keep_days > 0 and iu.now() - config.keep_days * DAY
    local count = 0
    for i, row in ipairs(rows) do
      if config.keep_runs > 0 and i > config.keep_runs or before and row.updated_at < before then
        local ok
        ok, err = forget(row)
        if not ok then return nil, err end
        count = count + 1
      end
    end
    retention.pruned = retention.pruned + count
    return count
  end

  local function look()
    busy, ended, looked = true, 0, ctx.clock()
    local ok, count, err = pcall(retention.prune)
    busy = false
    if not ok or not count and not stopped then ctx.log.warn("ended runs were not pruned: %s", tostring(ok and err or count)) end
  end

  --- A run has ended.
  function retention.note()
    ended = ended + 1
    if busy or stopped or ended < EVERY and ctx.clock() - looked < HOUR then return end
    ctx.spawn(look)
  end

  retention.look = look

  function retention.stop() stopped = true end

  return retention
end
