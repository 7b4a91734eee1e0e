-- The server that specs use: databases on the runner's, and servers of their own that are stopped, killed and restarted.
-- sanitizers: skip (no code of the library runs)

local spacetimedb = require("spacetimedb")

local there = spacetimedb.address and spacetimedb.wasm
local with_server = there and it or pending

describe("servers for specs", function()
  local server

  after_each(function()
    if server then server:remove() end
    server = nil
  end)

  local function alive(pid)
    return os.execute(("kill -0 %d 2>/dev/null"):format(pid)) == true
  end

  with_server("a database of its own, owned by who published it, until it is deleted", function()
    local name = spacetimedb.name()
    local token, identity = assert(spacetimedb.publish(name))
    local rows = spacetimedb.sql(name, token, "SELECT * FROM config WHERE key = 'owner'")
    assert.equal(identity, rows[1][2])
    local refused, words, status = spacetimedb.publish(name, nil, spacetimedb.identity().token)
    assert.is_nil(refused)
    assert.truthy(status >= 400 and words:find("ermission") or words:find("authorized"), words)
    assert.equal(token, (spacetimedb.publish(name, nil, token)))
    spacetimedb.delete(name, token)
    assert.is_false((pcall(spacetimedb.sql, name, token, "SELECT * FROM config")))
  end)

  with_server("a server of its own keeps its data and its port over a stop and a kill", function()
    server = spacetimedb.start()
    assert.not_equal(spacetimedb.address, server.address)
    local name = spacetimedb.name()
    local token = assert(spacetimedb.publish(name, nil, nil, server))
    assert(spacetimedb.call(name, token, "update_config", [=[["k", "v", ""]]=], server))
    server:settle()
    for _, how in ipairs({ "stop", "kill" }) do
      local port, pid = server.port, server.pid
      server[how](server)
      assert.is_false(alive(pid), how)
      server:restart()
      assert.equal(port, server.port)
      assert.is_true(alive(server.pid))
      assert.equal("v", spacetimedb.sql(name, token, "SELECT value FROM config WHERE key = 'k'", server)[1][1])
    end
    assert.truthy(server:log():find("database running in data directory", 1, true))
  end)

  with_server("leaves neither process nor file", function()
    server = spacetimedb.start()
    local pid, folder = server.pid, server.folder
    server:remove()
    assert.is_false(alive(pid))
    assert.is_nil(io.open(folder .. "/log"))
  end)

  with_server("says why a server does not start", function()
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write("#!/bin/sh\nexit 3\n")
    file:close()
    os.execute("chmod +x " .. path)
    local ok, why = pcall(spacetimedb.start, { program = path })
    os.remove(path)
    assert.is_false(ok)
    assert.truthy(why:find("ended while it started", 1, true), why)
  end)
end)
