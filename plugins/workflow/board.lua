-- board.lua: the runs that have not ended and the signals nobody has taken, as the universe has them: a subscription's rows, decoded once.
--
-- Everybody's are here (on a server those of other processes, too). heard.run(uid) and heard.signal(uid) are told of each change, heard.ended(uid) when a
-- live row goes. It only shows; what is written is decided by revisions.

local iu = require "inner_universe"

local plugin = ...
local records = plugin.load "records"

local LIVE, SIGNAL = "workflow.live:", "workflow.signal:"
local UID = 36 -- bytes

---@param ctx table
---@param heard { run: fun(uid: string), signal: fun(uid: string), ended: fun(uid: string) }
return function(ctx, heard)
  local board = { count = 0, damaged = 0, skew = nil }
  local runs = {}    -- uid -> { uid, revision, expires_at, state }
  local uids = {}    -- id -> uid
  local signals = {} -- uid -> array of { key, which, revision, name, payload }, in the order of their keys
  local handles, subscription = {}, nil

  local function decode(row)
    local value, err = records.decode(row)
    if not value then
      board.damaged = board.damaged + 1
      ctx.log.error("%s", err.message)
    end
    return value
  end

  local function put_run(row)
    local uid, state = row.key:sub(#LIVE + 1), decode(row)
    if not state then return end
    if not runs[uid] then board.count = board.count + 1 end
    runs[uid] = { uid = uid, revision = row.revision, expires_at = row.expires_at, state = state }
    uids[state.id] = uid
    heard.run(uid)
  end

  local function drop_run(row)
    local uid = row.key:sub(#LIVE + 1)
    local run = runs[uid]
    if not run then return end
    runs[uid] = nil
    board.count = board.count - 1
    if uids[run.state.id] == uid then uids[run.state.id] = nil end
    heard.ended(uid)
  end

  local function put_signal(row)
    local uid, which = row.key:sub(#SIGNAL + 1, #SIGNAL + UID), row.key:sub(#SIGNAL + UID + 2)
    local value = decode(row)
    if not value then return end
    local list = signals[uid] or {}
    signals[uid] = list
    local at = #list + 1
    while at > 1 and list[at - 1].key > row.key do at = at - 1 end
    if list[at - 1] and list[at - 1].key == row.key then at = at - 1 end
    local signal = { key = row.key, which = which, revision = row.revision, name = value.name, payload = value.payload }
    if list[at] and list[at].key == row.key then list[at] = signal else table.insert(list, at, signal) end
    heard.signal(uid)
  end

  local function drop_signal(row)
    local uid = row.key:sub(#SIGNAL + 1, #SIGNAL + UID)
    local list = signals[uid]
    if not list then return end
    for i, signal in ipairs(list) do
      if signal.key == row.key then
        table.remove(list, i)
        break
      end
    end
    if #list == 0 then signals[uid] = nil end
  end

  -- The server's clock less ours, at least: telling takes time, so the greatest difference seen is the best one.
  local function compare_clocks(row, event)
    if not event.own then return end
    local difference = row.updated_at - iu.now()
    if not board.skew or difference > board.skew then board.skew = difference end
  end

  local function told(row, event, on_run, on_signal)
    if row.key:sub(1, #LIVE) == LIVE then
      compare_clocks(row, event)
      on_run(row)
    elseif row.key:sub(1, #SIGNAL) == SIGNAL then
      on_signal(row)
    end
  end

  --- Subscribes. true, or nil, err; on a server the rows come later (ready).
  function board.open()
    local rows = ctx.conn.tables.plugin_record
    handles[1] = rows:on_insert(function(row, event) told(row, event, put_run, put_signal) end)
    handles[2] = rows:on_update(function(row, _, event) told(row, event, put_run, put_signal) end)
    handles[3] = rows:on_delete(function(row, event) told(row, event, drop_run, drop_signal) end)
    local queries = {}
    for i, kind in ipairs { "live", "signal" } do
      queries[i] = ("SELECT * FROM plugin_record WHERE key >= '%s' AND key < '%s'"):format(records.range(kind))
    end
    local err
    subscription, err = ctx.conn:subscribe(queries, { on_error = function(why) ctx.report(why, "workflow: the subscription of runs") end })
    if subscription then return true end
    board.close()
    return nil, err
  end

  --- Waits until what is there has been told.
  ---@return true?, inner_universe.Error?
  function board.ready() return subscription:wait() end

  function board.close()
    for _, handle in ipairs(handles) do handle:cancel() end
    handles = {}
    if subscription and subscription:is_active() then subscription:unsubscribe() end
  end

  function board.run(uid) return runs[uid] end

  --- The uid of a run that has not ended, by its id.
  function board.uid(id) return uids[id] end

  --- All runs, in no order.
  function board.each() return pairs(runs) end

  --- Now, as those see it who compare with expires_at.
  function board.now() return iu.now() + (board.skew or 0) end

  --- The oldest signal of that name, or nil.
  function board.signal(uid, name)
    for _, signal in ipairs(signals[uid] or {}) do
      if signal.which ~= records.CANCEL and signal.name == name then return signal end
    end
  end

  --- All of a run's, to be removed with it.
  function board.signals(uid) return signals[uid] or {} end

  function board.is_cancelled(uid)
    for _, signal in ipairs(signals[uid] or {}) do
      if signal.which == records.CANCEL then return true end
    end
    return false
  end

  return board
end
