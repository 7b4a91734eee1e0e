-- connections.lua: the connections of a pool: opened, asked whether they are well, kept while nobody has them, closed.
--
-- A link: { conn, born, used_at, own }. own: nobody else is given it (it has an identity of its own). The one taken back last is lent first, so that what is
-- not needed grows old. Whoever calls `take` holds a place of the pool's room, which bounds how many there are.
--
-- On an embedded universe there is one link, the universe's connection, which is lent to all and never closed here; those with an identity are sessions of it.

local iu = require "inner_universe"

-- Of the universe's settings: what says where the server is, and who to be.
local WHERE = {
  "backend", "address", "port", "database", "tls", "ca_file", "token", "token_file", "protocol", "compression", "confirmed",
}

--- ctx, statistics (counted here: opened, failed, closed and why).
return function(ctx, statistics)
  local config = ctx.config
  local embedded = ctx.settings.backend ~= "spacetimedb"
  local connections = { open = 0, opening = 0, idle = 0 }
  local idle = {} -- links, the one used last at the end

  local function is_well(conn)
    return not conn:is_closed() and conn:state().phase == "connected"
  end

  local function connect(token)
    local settings = {}
    for _, key in ipairs(WHERE) do settings[key] = ctx.settings[key] end
    if token then settings.token, settings.token_file = token, "none" end
    local where, why = iu.config(settings, { env = false }) -- what variables and files say is in the settings, unless something stronger said otherwise
    if not where then return nil, why end
    connections.opening = connections.opening + 1
    local done <close> = setmetatable({}, { __close = function() connections.opening = connections.opening - 1 end })
    local conn, err = iu.connect(where, { reconnect = false, connect_timeout = config.connect_timeout_ms / 1000 })
    return done and conn, err
  end

  local function link_of(conn, own)
    local now = ctx.clock()
    connections.open = connections.open + 1
    statistics.opened = statistics.opened + 1
    connections.problem = nil
    return { conn = conn, born = now, used_at = now, own = own }
  end

  -- identity: embedded; token: a server. Neither: who the universe is.
  local function open(options)
    local conn, err
    if embedded then
      conn, err = ctx.conn:session { identity = options.identity }
    else
      conn, err = connect(options.token)
    end
    if conn then return link_of(conn, options.identity ~= nil or options.token ~= nil) end
    statistics.failed = statistics.failed + 1
    connections.problem = tostring(err)
    return nil, err
  end

  -- In a task of its own: it may take a moment, and whoever gives a link back may not be able to wait.
  local function close(link, why)
    connections.open = connections.open - 1
    statistics[why] = statistics[why] + 1
    if not link.conn:is_closed() then ctx.spawn(link.conn.close, link.conn) end
  end

  local function pop(at)
    connections.idle = connections.idle - 1
    return table.remove(idle, at)
  end

  -- A round trip, no longer than the configuration says.
  local function answers(link)
    local conn, done = link.conn, ctx.waiter()
    statistics.checks = statistics.checks + 1
    local task = ctx.spawn(function()
      local _, err = conn:get("config", "schema_version")
      done:resolve(err == nil)
    end)
    local ok = done:wait(config.check_timeout_ms / 1000)
    if ok == nil then task:cancel() end
    return ok == true
  end

  local function expired(link, now)
    return now - link.born >= config.life_ms / 1000
  end

  --- A link for a lease, or nil, err. It may wait.
  function connections.take(options)
    if options.identity or options.token then return open(options) end
    if embedded then return { conn = ctx.conn, born = 0, shared = true } end
    while #idle > 0 do
      local link = pop(#idle)
      local now = ctx.clock()
      if not is_well(link.conn) then
        close(link, "broken")
      elseif expired(link, now) then
        close(link, "too_old")
      else
        if now - link.used_at < config.check_ms / 1000 then return link end
        -- Cancelled meanwhile it is nobody's, and is not kept.
        local asked, well = true, false
        local guard <close> = setmetatable({}, { __close = function()
          if asked and not well then close(link, "broken") end
        end})
        well = guard ~= nil and answers(link)
        if well then return link end
      end
    end
    return open {}
  end

  --- A link that is not needed any more. Never waits.
  function connections.give(link)
    if link.shared then return end
    if link.own then return close(link, "own") end
    if not is_well(link.conn) then return close(link, "broken") end
    local subscriptions, handlers, calls = link.conn:in_use()
    if subscriptions + handlers + calls > 0 then return close(link, "left_over") end -- nobody else shall hear of it
    if expired(link, ctx.clock()) then return close(link, "too_old") end
    link.used_at = ctx.clock()
    idle[#idle + 1] = link
    connections.idle = connections.idle + 1
  end

  --- Closes what is too old, has been idle too long or is lost.
  function connections.thin_out()
    local now = ctx.clock()
    for at = #idle, 1, -1 do
      local link = idle[at]
      if not is_well(link.conn) then
        close(pop(at), "broken")
      elseif expired(link, now) then
        close(pop(at), "too_old")
      end
    end
    while #idle > 0 and connections.open > config.min and now - idle[1].used_at >= config.idle_ms / 1000 do
      close(pop(1), "unused")
    end
  end

  --- Opens one that nobody has asked for. true, or nil, err.
  function connections.add()
    local link, err = open {}
    if not link then return nil, err end
    connections.give(link)
    return true
  end

  connections.close = close

  --- All that nobody has; waits for it where that is possible.
  function connections.close_all()
    local list = idle
    idle, connections.idle = {}, 0
    for _, link in ipairs(list) do
      connections.open = connections.open - 1
      link.conn:close()
    end
  end

  connections.embedded = embedded
  return connections
end
