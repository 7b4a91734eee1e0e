-- replay.lua: what is kept goes to the server, in its order, while there is a connection.
--
-- Entries of one operation go WINDOW at a time, one behind the other over the connection, which keeps their order; one of several operations goes alone, again
-- without what of it was refused. Each goes under its request key, which the module applies once: so an entry is sent again whenever its outcome is not known,
-- after a loss and after this process was killed. It leaves the file when it is known to be applied, or refused.
--
-- The module forgets a key after 24 hours. So the file says of each entry when it was sent first, before it is sent; one whose outcome is not known for longer
-- than resend_ms may be applied already, with nobody left who knows: it is not sent again, but told as a refusal with the code UNKNOWN_OUTCOME.

local iu = require "inner_universe"

local plugin = ...
local lost = plugin.load "lost"

local WINDOW = 64
local PORTION = 8 << 20 -- bytes of refused entries in one transaction of the file
local PAUSE = 0.2 -- seconds before it is tried again while the connection is there and does not take it
local UNKNOWN = "UNKNOWN_OUTCOME"
local LATER = { ConnectionError = true, TimeoutError = true, OverloadedError = true } -- says nothing about the write: no room to send, no energy

--- ctx, client (the manager's), queue, server_time, fits() (the manager's),
--- told: { applied(entry), refuse(entry, operations, refusal) (whether somebody hears it), refused { entry, operations, refusal, heard }, changed() }.
return function(ctx, client, queue, server_time, fits, told)
  local replay = { count = 0 }
  local resend = ctx.config.resend_ms * 1000

  -- The answers of entries: true or an err, each; what was not sent any more has none.
  local function send(list)
    local answers, left, done, conn = {}, #list, ctx.waiter(), ctx.conn
    if ctx.is_closed() or conn:is_closed() then return answers end
    for i, entry in ipairs(list) do
      local ok, err = conn:call_async(function(well, why)
        answers[i] = well or why
        left = left - 1
        if left == 0 then done:resolve(true) end
      end, "transact", entry.operations, entry.key)
      if not ok then -- refused at once: those behind it are not sent
        answers[i] = err
        left = left - (#list - i + 1)
        if left == 0 then done:resolve(true) end
        break
      end
    end
    done:wait()
    return answers
  end

  local function next_window()
    local list = queue.head(WINDOW)
    for i, entry in ipairs(list) do
      if #entry.operations > 1 then return table.move(list, 1, math.max(1, i - 1), 1, {}) end
    end
    return list
  end

  local function settle_portion(applied, refused)
    for _, each in ipairs(refused) do
      each.heard = told.refuse(each.entry, each.operations, each.refusal) -- before the file: who waits may be let go meanwhile
    end
    local ok, err = queue.settle(applied, refused)
    if not ok then return nil, err end
    replay.count = replay.count + #applied
    for _, entry in ipairs(applied) do told.applied(entry) end
    for _, each in ipairs(refused) do told.refused(each) end
    return true
  end

  -- What became of entries goes to the file, then to who wants to know. true, or nil, err.
  local function settle(applied, refused)
    local at = 1
    while #applied > 0 or at <= #refused do
      local portion, bytes = {}, 0
      while at <= #refused and (bytes == 0 or bytes + refused[at].entry.bytes <= PORTION) do
        portion[#portion + 1], bytes = refused[at], bytes + refused[at].entry.bytes
        at = at + 1
      end
      local ok, err = settle_portion(applied, portion)
      if not ok then return nil, err end
      applied = {}
    end
    return true
  end

  local function refused_at(entry, number, refusal)
    local rest = table.move(entry.operations, 1, #entry.operations, 1, {})
    return { entry = entry, operations = { table.remove(rest, number) }, rest = rest, refusal = refusal }
  end

  -- What is too old to be sent again is told; the rest of the list, or nil, err.
  local function without_unknown(list, now)
    local left, unknown = {}, {}
    for _, entry in ipairs(list) do
      if entry.sent_at and now - entry.sent_at >= resend then
        unknown[#unknown + 1] = { entry = entry, operations = entry.operations, rest = {}, refusal = iu.errors.new("ConnectionError",
          ("it was sent %d s ago and never answered: whether it was applied is unknown, and the server may not know its request key any more (resend_ms)")
            :format((now - entry.sent_at) // 1000000), { code = UNKNOWN, retryable = false }) }
      else
        left[#left + 1] = entry
      end
    end
    local ok, err = settle({}, unknown)
    if not ok then return nil, err end
    return left
  end

  -- What of a window may be sent, noted as sent in the file, and which of it was not before. nil, err: nothing may, now.
  local function prepare(list)
    local ok, now, err
    ok, err = fits() -- what another module would refuse is not lost to it
    if not ok then return nil, err end
    now, err = server_time.now()
    if not now then return nil, err end
    list, err = without_unknown(list, now)
    if not list then return nil, err end
    local first_time, is_first = {}, {}
    for _, entry in ipairs(list) do
      if not entry.sent_at then first_time[#first_time + 1], is_first[entry] = entry, true end
    end
    ok, err = queue.mark(first_time, now)
    if not ok then return nil, err end
    return list, is_first
  end

  -- true, or nil, err: where the rest has to wait.
  local function one_window()
    local window = next_window()
    if #window == 0 then return true end -- what there was could not be kept
    local list, is_first = prepare(window)
    if not list then return nil, is_first end
    if #list == 0 then
      told.changed()
      return true
    end
    local applied, refused, not_sent, stopped = {}, {}, {}, nil
    local answers = send(list)
    for i, entry in ipairs(list) do
      local err = answers[i]
      if err == true then
        applied[#applied + 1] = entry
      elseif err == nil or LATER[err.kind] then
        stopped = stopped or err
        if is_first[entry] and not lost.outcome(err) then not_sent[#not_sent + 1] = entry end
      else
        local number, refusal = client:blamed_operation(err)
        refused[#refused + 1] = refused_at(entry, entry.operations[number] and number or 1, refusal or err)
      end
    end
    queue.mark(not_sent, nil) -- failed: they count as sent
    local ok, why = settle(applied, refused)
    if not ok then return nil, why end
    told.changed()
    if stopped then return nil, stopped end
    return true
  end

  --- Sends until nothing is kept, or `may()` says that there is no connection any more.
  function replay.run(may)
    while queue.count > 0 and may() do
      local ok, err = one_window()
      replay.problem = err and tostring(err) or nil
      if not ok then iu.sleep(PAUSE) end
    end
  end

  return replay
end
