-- send.lua: one batch to the universe: one `transact` under a request key of its own, and what to do when it is refused.
--
-- A refused transact has changed nothing. The operation that it blames is taken out, its refusal is that member's answer, and the rest is sent again: so the
-- outcome is that of the members' calls one after the other. Where nobody is blamed (it is too large as a whole) it is sent in halves, in their order.
--
-- On a server a lost connection may leave the outcome unknown. Then the same operations are sent again under the same key, which the module applies once, until
-- there is an answer or `resend_ms` are over; the error that the members get then carries { request_key, operations, number, answer }, for who can send it
-- again later.

local iu = require "inner_universe"

local PAUSE = 0.1 -- seconds between two tries
local WHOLE = { ValidationError = true, OverloadedError = true } -- refusals that may be for the size of all together

--- ctx, client (the manager's), statistics (counted here: transacts, resent, split).
return function(ctx, client, statistics)
  local on_server = ctx.settings.backend == "spacetimedb"

  local function unknown(err)
    return err.code == "UNKNOWN_OUTCOME" or err.kind == "TimeoutError"
  end

  -- true; or nil, err and whether the outcome is unknown.
  local function transact(operations, key)
    local lost, ends
    while true do
      local conn = ctx.conn
      if ctx.is_closed() or conn:is_closed() then
        local closed = iu.errors.new("ConnectionError", "the universe was closed before the batch was sent", { code = "CLOSED", retryable = false })
        return nil, lost or closed, lost ~= nil
      end
      statistics.transacts = statistics.transacts + 1
      local ok, err = conn:call("transact", operations, key)
      if ok then return true end
      if not on_server then return nil, err, false end
      if unknown(err) then
        lost = lost or err
      elseif not lost or err.kind ~= "ConnectionError" then
        return nil, err, false
      end
      local now = ctx.clock()
      ends = ends or now + ctx.config.resend_ms / 1000
      if now >= ends then return nil, lost, true end
      statistics.resent = statistics.resent + 1
      iu.sleep(PAUSE)
    end
  end

  local send

  -- What is left of a group: operations as tables, and whose they are.
  local function listed(group)
    local operations, members = {}, {}
    for i = 1, #group.core do operations[i], members[i] = group.core:get(i), i end
    return operations, members
  end

  local function fail(group, members, err, of)
    for number, member in ipairs(members) do
      group.errors[member] = of and of(member, number) or err
    end
  end

  -- In their order, each half under a key of its own.
  local function in_halves(group, operations, members)
    local middle = #operations // 2
    statistics.split = statistics.split + 1
    send(group, table.move(operations, 1, middle, 1, {}), table.move(members, 1, middle, 1, {}))
    send(group, table.move(operations, middle + 1, #operations, 1, {}), table.move(members, middle + 1, #members, 1, {}))
  end

  function send(group, operations, members)
    local key = iu.uuid()
    while true do
      local ok, err, lost = transact(operations or { group.core }, key)
      if ok then return end
      group.errors = group.errors or {}
      if not operations then operations, members = listed(group) end
      local at, refusal = client:blamed_operation(err)
      if lost then
        return fail(group, members, err, function(member, number)
          return iu.errors.new(err.kind, err.message, { code = err.code, retryable = false, cause = err,
            details = { request_key = key, operations = operations, number = number, answer = group.answers[member] } })
        end)
      elseif at and at <= #members then
        group.errors[members[at]] = refusal
        table.remove(operations, at)
        table.remove(members, at)
        if #operations == 0 then return end
        statistics.split = statistics.split + 1
      elseif #operations > 1 and WHOLE[err.kind] then
        return in_halves(group, operations, members)
      else
        return fail(group, members, err)
      end
    end
  end

  --- Sends a group { core, answers }; when it returns `group.errors` has, by place, the refusals of those members that were not applied (nil: none).
  return function(group)
    local ok, raised = pcall(send, group)
    if ok then return end
    group.errors = group.errors or {}
    local _, members = listed(group)
    fail(group, members, iu.errors.from(raised))
  end
end
