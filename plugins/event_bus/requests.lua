-- requests.lua: request and reply over the log.
--
-- A request is an event like any other: its type, its data. The reply is an event of the type `<type>:reply`, whose source is the request's event id, with the
-- data { ok = true, value } or { ok = false, error } (message.lua, of_failure); its own id is `<request's id>:reply`, so there is one, whoever answers first.
-- Requests live as long as who asks: nothing is asked again. At most `requests_max` are open at once.

local iu = require "inner_universe"

local SUFFIX = ":reply"
local TYPE_MAX = 256 -- bytes of an event's type

---@param ctx table
---@param message table message.lua
---@param publish fun(event_type: string, source: string?, data: any, id: string?): string?, inner_universe.Error?
return function(ctx, message, publish)
  local requests = { SUFFIX = SUFFIX }
  local pending, count = {}, 0 -- by the request's id: { type, waiter }

  --- A row of the log: the reply that somebody waits for?
  function requests.offer(row)
    local request = count > 0 and pending[row.source]
    if not request or row.event_type ~= request.type then return end
    local data, err = message.data(row)
    if err then return request.waiter:resolve(nil, err) end
    if type(data) == "table" and data.ok == true then return request.waiter:resolve({ value = data.value }) end
    request.waiter:resolve(nil, message.to_failure(type(data) == "table" and data.error or data))
  end

  --- Whether there can be a reply of that type.
  function requests.check(event_type)
    if #event_type + #SUFFIX <= TYPE_MAX then return true end
    return nil, iu.errors.new("ValidationError", ("request: event_type: expected at most %d bytes, got %d"):format(TYPE_MAX - #SUFFIX, #event_type))
  end

  --- Publishes a request and waits for its reply.
  ---@return any value
  ---@return inner_universe.Error? err
  function requests.ask(event_type, data, source, timeout)
    if count >= ctx.config.requests_max then
      return nil, iu.errors.new("OverloadedError", ("request %s: %d requests wait for their replies already"):format(event_type, count))
    end
    local id, waiter = iu.uuid(), ctx.waiter()
    pending[id] = { type = event_type .. SUFFIX, waiter = waiter }
    count = count + 1
    local finish <close> = setmetatable({}, { __close = function()
      pending[id] = nil
      count = count - 1
    end })
    local ok, err = publish(event_type, source, data, id)
    if not ok then return nil, err end
    local answer
    answer, err = waiter:wait(timeout)
    if answer then return finish and answer.value end
    if not waiter:is_resolved() and iu.errors.is(err, "TimeoutError") then
      err = iu.errors.new("TimeoutError", ("request %s: no reply within %g s"):format(event_type, timeout), { cause = err, details = { event_id = id } })
    end
    return nil, err
  end

  -- What is answered when the value itself cannot be.
  local function reply(what, data)
    local ok, err = publish(what.type .. SUFFIX, what.id, data, what.id .. SUFFIX)
    if ok or err.kind == "ConflictError" then return true end -- another one was faster
    return nil, err
  end

  --- Answers requests of a type: what fn(message) returns is the value (nil is null), nil and an err or what it raises the failure.
  function requests.responder(fn)
    return function(what)
      if what.type:sub(-#SUFFIX) == SUFFIX then return end -- a pattern's
      local results = table.pack(pcall(fn, what))
      local data
      if not results[1] then
        data = { ok = false, error = message.of_failure(iu.errors.from(results[2])) }
      elseif results[2] == nil and results[3] ~= nil then
        data = { ok = false, error = message.of_failure(results[3]) }
      else
        local value = results[2]
        if value == nil then value = iu.null end
        data = { ok = true, value = value }
      end
      local ok, err = reply(what, data)
      if ok or ctx.is_closed() then return end
      ctx.report(err, "reply to " .. what.type)
      if err.kind == "ValidationError" then reply(what, { ok = false, error = message.of_failure(err) }) end
    end
  end

  --- Nobody waits any longer.
  function requests.stop()
    for _, request in pairs(pending) do
      request.waiter:resolve(nil, iu.errors.new("ConnectionError", "event_bus is closed", { code = "CLOSED", retryable = false }))
    end
  end

  function requests.open() return count end

  return requests
end
