-- What somebody finds who steals the universe's files: nothing of what is sealed, in whichever way it was written, while the universe is open, after it was
-- closed, in a backup, and in copies. A text that is not sealed is found, which proves that the search finds.

local iu = require "inner_universe"
local command = require "command"
local peer = require "peer"
local support = require "support"

local KEY = ("01"):rep(32)

-- All bytes of a universe's files: the file and what SQLite keeps beside it.
local function bytes_of(path)
  local pipe = assert(io.popen(("cat '%s'*"):format(path)))
  local bytes = pipe:read("a")
  pipe:close()
  assert.is_true(#bytes > 1000)
  return bytes
end

local FORMS = { -- in which a text might be written
  function(text) return text end,
  function(text) return text:reverse() end,
  function(text) return (text:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end,
  function(text) return (text:gsub(".", "%0\0")) end,
}

describe("the files of a universe", function()
  after_each(support.clean)

  it("hold nothing in clear that is sealed", function()
    local keys, path, backup = support.path(), support.path() .. ".universe", support.path() .. ".universe"
    support.write(keys, KEY .. "\n")
    assert(os.execute(("chmod 600 '%s'"):format(keys)))
    local secrets, open = {}, {}
    local function text(list)
      local made = ("marker-%s"):format(iu.uuid())
      list[#list + 1] = made
      return made
    end
    local m = support.owned(assert(iu.open(path, {
      history = { "entity", "relation" },
      plugins = { security = {
        sealed = { entity = { "properties.email" }, relation = { "properties.note" }, events = { PAYMENT = { "card" } } }, keys = { { file = keys } },
      } },
    })))
    local id = assert(m:create_entity("Person", { name = text(open), properties = { email = text(secrets), city = text(open) } }))
    assert(m:update_entity(id, { properties = { email = { deep = text(secrets) }, city = text(open) } }))
    local other = assert(m.client:create_entity("Person", { properties = { email = text(secrets) } }))
    local r = assert(m:create_relation(id, other, "KNOWS", { properties = { note = text(secrets), open = text(open) } }))
    assert(m:update_relation(r, { properties = { note = text(secrets) } }))
    assert(m:publish_event("PAYMENT", { card = text(secrets), to = text(open) }))
    assert(m:transaction(function(tx)
      local made = assert(tx:create_entity("Person", { properties = { email = text(secrets), city = text(open) } }))
      assert(tx:update_entity(made, { properties = { email = text(secrets) } }))
      assert(tx:publish_event("PAYMENT", { card = text(secrets) }))
    end))
    assert(m:delete_entity(other, { cascade = true }))
    support.refused("ConflictError", nil, select(2, m:create_entity("Person", { properties = { email = text(secrets) } }, id)))
    assert(m:flush())
    local function search(where)
      local bytes = bytes_of(where)
      local found = 0
      for _, marker in ipairs(open) do
        if bytes:find(marker, 1, true) then found = found + 1 end
      end
      -- All but the ones of the transaction's first version, which is written and replaced within it.
      assert.is_true(found >= #open - 1, ("only %d of %d texts that are not sealed were found in %s"):format(found, #open, where))
      for i, secret in ipairs(secrets) do
        for _, form in ipairs(FORMS) do assert.is_nil(bytes:find(form(secret), 1, true), ("secret %d is in %s"):format(i, where)) end
        local value = secret:match("^marker%-(.*)$")
        assert.is_nil(bytes:find(value, 1, true))
      end
      assert.is_nil(bytes:find(KEY, 1, true))
      assert.is_nil(bytes:find(("\1"):rep(32), 1, true), "the key is in the file")
    end
    search(path)
    assert(m:backup(backup))
    search(backup)
    support.close(m)
    search(path)
    local copy, lines = support.path() .. ".universe", support.path() .. ".jsonl"
    for _, words in ipairs { "copy " .. path .. " " .. copy, "export " .. path .. " " .. lines } do
      local run = command.iu(words)
      assert.equal(0, run.status, run.out .. run.err)
    end
    search(copy)
    search(lines)
    local copied = support.owned(assert(iu.open(copy, {
      plugins = { security = { sealed = { entity = { "properties.email" } }, keys = { { file = keys } } } },
    })))
    assert.equal(secrets[2], copied:get_entity(id).metadata.properties.email.deep)
  end)

  it("nor does the file in which writes wait for a server that is away", function()
    local server = peer.start()
    local stops <close> = setmetatable({}, { __close = function() server:stop() end })
    local name, token = server:database()
    local keys, queue = support.path(), support.path() .. ".queue"
    support.write(keys, KEY .. "\n")
    assert(os.execute(("chmod 600 '%s'"):format(keys)))
    local m = support.owned(assert(iu.open(("ws://%s/%s"):format(server.address, name), {
      token = token, log_level = "off", reconnect_min_delay_ms = 5, reconnect_max_delay_ms = 20,
      plugins = {
        fallback = { path = queue, reads = true },
        security = { sealed = { entity = { "properties.email" }, events = { PAYMENT = { "card" } } }, keys = { { file = keys } } },
      },
    })))
    assert(m:plugin("fallback"))
    assert(m:create_entity("Person", nil, "before"))
    server:fault('{"restart_ms":1000}')
    support.wait_until(function() return stops and m.fallback:state() == "offline" end)
    local id = assert(m:create_entity("Person", { name = "in clear", properties = { email = "secret@x.org" } }))
    assert.is_true(m:update_entity("before", { properties = { email = "secret too" } }))
    assert(m:publish_event("PAYMENT", { card = "secret card" }))
    assert.equal("secret@x.org", m:get_entity(id).metadata.properties.email)
    local bytes = bytes_of(queue)
    assert.truthy(bytes:find("in clear", 1, true))
    assert.truthy(bytes:find("sealed:1:", 1, true))
    for _, secret in ipairs { "secret@x.org", "secret too", "secret card" } do assert.is_nil(bytes:find(secret, 1, true)) end
    support.wait_until(function() return m.fallback:status().queued == 0 end)
    assert.equal("secret@x.org", m:get_entity(id).metadata.properties.email)
    assert.equal("secret too", m:get_entity("before").metadata.properties.email)
    assert.equal("secret card", m.event_bus:events({ type = "PAYMENT" })[1].data.card)
    for _, row in ipairs(support.rows(m, "entity")) do assert.is_nil(row.metadata.properties:find("secret", 1, true)) end
  end)

  it("are read with a key from the environment", function()
    local path, script = support.path() .. ".universe", support.path() .. ".lua"
    support.write(script, [[
      local iu = require "inner_universe"
      local path, what = ...
      local m <close> = assert(iu.open(path, { plugins = { security = { sealed = { entity = { "properties.email" } }, keys = { { env = "IU_SPEC_KEY" } } } } }))
      if what == "write" then print(m:create_entity("Person", { properties = { email = "ada@x.org" } }, "ada")) end
      local row, err = m:get_entity("ada")
      print(row and row.metadata.properties.email or err.kind, (m.security:health()))
    ]])
    local function run(key, what)
      return command.sh(("%s scripts/iu run %s %s %s"):format(key and "IU_SPEC_KEY=" .. key or "env -u IU_SPEC_KEY", script, path, what or "read")).out
    end
    assert.equal("ada\nada@x.org\ttrue\n", run(KEY, "write"))
    assert.equal("ada@x.org\ttrue\n", run(KEY))
    assert.equal("AuthorizationError\ttrue\n", run(("02"):rep(32)))
    assert.equal("AuthorizationError\tnil\n", run(nil))
    assert.equal("AuthorizationError\tnil\n", run("short"))
    assert.is_nil(bytes_of(path):find("ada@x.org", 1, true))
  end)
end)
