-- writing.lua: the manager's writes while the server may go away: sent under a request key while there is a connection and nothing is kept, else kept.
--
-- A write that is kept while there is no connection is answered when it is in the file. One that is kept because others are before it, while they are
-- replayed, waits for the server's own answer: nothing overtakes, and who writes faster than the replay is held back. When the connection is lost
-- meanwhile it is answered as the first kind.

local iu = require "inner_universe"

local plugin = ...
local lost = plugin.load "lost"

--- ctx, client (the manager's), queue, server_time, state: { connected(), changed(), stopped }
return function(ctx, client, queue, server_time, state)
  local writing = {}
  local by_key = {} -- entries that somebody waits for

  -- The write's answer, or nil, err. number: which of the operations is the caller's; sent_at: when it was sent, where it was.
  local function keep(key, operations, number, answer, sent_at)
    local entry = by_key[key]
    if entry then
      local ok, why = entry.kept:wait()
      if not ok then return nil, why end
    else
      local err
      entry, err = queue.append(key, operations, sent_at, function(made)
        made.answered, made.refusals, made.members = ctx.waiter(), {}, table.move(operations, 1, #operations, 1, {})
        by_key[key] = made
      end)
      if not entry then
        by_key[key] = nil
        state.changed()
        return nil, err
      end
      state.changed()
    end
    if state.connected() and not state.stopped then entry.answered:wait() end
    local refusal = entry.refusals[entry.members[number]]
    if refusal then return nil, refusal end
    return answer
  end

  --- An entry is done with: applied or refused as a whole.
  function writing.settle(entry)
    if not entry.answered then return end
    by_key[entry.key] = nil
    entry.answered:resolve(true)
  end

  --- Some of its operations were refused. Whether somebody waits for what the server says of it.
  function writing.refuse(entry, operations, refusal)
    if not entry.answered then return false end
    for _, operation in ipairs(operations) do entry.refusals[operation] = refusal end
    return entry.answered:is_awaited()
  end

  --- The connection is gone: nobody waits for the server any more. What they wrote is in the file.
  function writing.let_go()
    for _, entry in pairs(by_key) do entry.answered:resolve(true) end
  end

  -- Whether the connection's schema has room for it: what it has not is said now, not when it is replayed. One that has ended for good says nothing.
  local function can_be_sent(operation)
    local conn = ctx.conn
    if ctx.is_closed() or conn:is_closed() then return true end
    local batch = conn:batch("transact")
    if not batch then return true end
    local number = batch:put(operation)
    batch:close()
    return number ~= nil
  end

  -- One write of the manager's. `inner` is the method, which says what is wrong with it where it cannot be an operation.
  local function write(method, inner, target, ok, ...)
    if not ok then return nil, (...) end
    local operation, answer = client:operation(method, ...)
    if not operation then return inner(target, ...) end
    local key = iu.uuid()
    local sent_at = state.connected() and queue.count == 0 and server_time.now()
    if sent_at and queue.count == 0 and state.connected() then
      local well, err = ctx.conn:call("transact", { operation }, key)
      if well then return answer end
      if not lost.connection(err) then
        local _, refusal = client:blamed_operation(err)
        if err.kind == "ValidationError" and not can_be_sent(operation) then return inner(target, ...) end
        return nil, refusal or err
      end
      if not lost.outcome(err) then sent_at = nil end
    elseif not can_be_sent(operation) then
      return inner(target, ...)
    else
      sent_at = nil
    end
    return keep(key, { operation }, 1, answer, sent_at)
  end

  -- One that the plugin batch has gathered: it has been sent under the batch's key, or not at all.
  local function after_batch(method, call, inner, next)
    local began = state.connected() and queue.count == 0 and server_time.now()
    if began and queue.count == 0 then
      local results = table.pack(next())
      local err = results[2]
      if results[1] ~= nil or not lost.connection(err) then return table.unpack(results, 1, results.n) end
      local sent = err.details
      if sent and sent.request_key then return keep(sent.request_key, sent.operations, sent.number, sent.answer, began) end
      if err.code == "UNKNOWN_OUTCOME" then return nil, err end
    end
    call.inner = function(target, ...)
      return write(method, inner, target, client:stored(method, ...))
    end
    return next()
  end

  --- The hook around a write.
  function writing.around(method)
    return function(call, next)
      local inner = call.inner
      if call.via == "batch" then return after_batch(method, call, inner, next) end
      call.inner = function(target, ...)
        return write(method, inner, target, client:stored(method, ...))
      end
      return next()
    end
  end

  return writing
end
