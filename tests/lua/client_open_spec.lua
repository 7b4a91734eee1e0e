-- iu.open on a server: the identity that is kept between runs, databases with another module, and what a configuration says.

local iu = require "inner_universe"
local spacetimedb = require "spacetimedb"

local available = spacetimedb.address ~= nil

describe("iu.open on a server", function()
  local made = {}
  local function database(path)
    local name = spacetimedb.name()
    local token = assert(spacetimedb.publish(name, path))
    made[#made + 1] = { name, token }
    return spacetimedb.address .. "/" .. name, token
  end
  after_each(function()
    iu.sleep(0.05) -- the server sees the connections' end before the database goes
    for _, each in ipairs(made) do spacetimedb.discard(each[1], each[2]) end
    made = {}
  end)
  local function on_server(what, fn)
    it(what, function()
      if not available then
        pending("no SpacetimeDB server")
        return
      end
      fn()
    end)
  end

  on_server("is the same identity again with a token file, readable by its owner alone", function()
    local target = database()
    local file = os.tmpname() .. "_folder/deep/token"
    local function identity_of(options)
      local conn = assert(iu.connect(target, options))
      local identity = conn:identity()
      assert(conn:close())
      return identity
    end
    local first = identity_of { token_file = file }
    assert.equal(first, identity_of { token_file = file })
    assert.not_equal(first, identity_of {})
    local pipe = assert(io.popen(("stat -c %%a '%s'"):format(file)))
    assert.equal("600", pipe:read("l"))
    pipe:close()
    local manager = assert(iu.open(target, { token_file = file }))
    assert(manager:create_entity("T", nil, "kept"))
    assert(manager:shutdown())
    os.execute(("rm -rf '%s'"):format(file:match("^(.*_folder)/")))
  end)

  on_server("says what a database lacks and how to publish it", function()
    local manager, err = iu.open(spacetimedb.address .. "/no-such-database", { token_file = "none" })
    assert.is_nil(manager)
    assert.equal("NO_DATABASE", err.code)
    local conn = assert(iu.connect((database())))
    assert.is_table(conn:schema().reducers.transact)
    assert(conn:close())
  end)

  on_server("refuses a wrong token", function()
    local target = database()
    local manager, err = iu.open(target, { token = "nonsense", token_file = "none" })
    assert.is_nil(manager)
    assert.equal("AuthorizationError", err.kind)
  end)

  it("takes IPv6 addresses, with and without brackets", function()
    local targets = { "ws://[::1]:1/d" }
    for _, address in ipairs({ "::1", "[::1]" }) do
      targets[#targets + 1] = { backend = "spacetimedb", address = address, port = 1, database = "d", token_file = "none" }
    end
    for _, target in ipairs(targets) do
      local manager, err = iu.open(target, type(target) == "string" and { token_file = "none" } or nil)
      assert.is_nil(manager)
      assert.equal("ConnectionError", err.kind)
      assert.truthy(err.message:find("[::1]:1", 1, true), err.message)
    end
  end)

  on_server("takes everything from a configuration", function()
    local target, token = database()
    local host, port, name = target:match("^ws://([^:]+):(%d+)/(.+)$")
    local manager <close> = assert(iu.open {
      backend = "spacetimedb", address = host, port = math.tointeger(port), database = name, token = token, token_file = "none", compression = "gzip",
      protocol = "v1", away = "queue",
    })
    assert.equal("spacetimedb", manager:status().backend)
    assert.equal("v1.bsatn.spacetimedb", manager:status().connection.protocol)
    assert(manager:create_entity("T"))
  end)

  on_server("refuses over v1.json what JSON cannot say, and goes on", function()
    local target, token = database()
    local manager <close> = assert(iu.open(target, { token = token, token_file = "none", protocol = "v1.json" }))
    assert.equal("v1.json.spacetimedb", manager:status().connection.protocol)
    local a, b = assert(manager:create_entity("T")), assert(manager:create_entity("T"))
    for _, strength in ipairs { 0 / 0, 1 / 0, -1 / 0 } do
      local id, err = manager:create_relation(a, b, "R", { strength = strength })
      assert.is_nil(id)
      assert.equal("ValidationError", err.kind)
      assert.is_truthy(err.message:find("strength", 1, true), err.message)
    end
    assert.equal(0.25, assert(manager:get_relation(assert(manager:create_relation(a, b, "R", { strength = 0.25 })))).metadata.strength)
  end)
end)
