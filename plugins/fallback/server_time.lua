-- server_time.lua: what time it is at the server, whose clock says when it forgets request keys. This machine's may be wrong, or be put right meanwhile.
--
-- The server writes down when a connection began; from there on the time that has gone by here is counted, by a clock that nobody puts right. One that stands
-- still (a machine asleep) makes it too early, and that connection has ended when the machine wakes.

local iu = require "inner_universe"

--- ctx
return function(ctx)
  local server_time = {}
  local id    -- of the connection at hand
  local since -- when it began, here
  local began -- and there; nil: not asked yet

  --- To be called when a connection begins: the first call for it counts.
  function server_time.connected()
    local now = ctx.conn:connection_id()
    if now ~= id then id, since, began = now, ctx.clock(), nil end
  end

  --- Microseconds since the epoch; or nil, err: the connection went meanwhile. The first question over a connection waits for its answer.
  function server_time.now()
    local conn = ctx.conn
    if ctx.is_closed() or conn:is_closed() then
      return nil, iu.errors.new("ConnectionError", "the connection is closed", { code = "CLOSED", retryable = false })
    end
    server_time.connected()
    if not began then
      local asked = id
      local row, err = conn:get("client_connection", id)
      if err then return nil, err end
      if id ~= asked then return server_time.now() end -- another connection meanwhile
      -- A module always notes its connections; where a row was removed by hand, this machine's time is the best there is.
      began = row and row.connected_at or iu.now() - math.floor((ctx.clock() - since) * 1e6)
    end
    return began + math.floor((ctx.clock() - since) * 1e6)
  end

  return server_time
end
