-- The plugin security on a server whose module is of a version before it could be asked: `can` says what to do, and answers once it was done.
-- sanitizers: skip (no other code of the library runs than in the behaviour specs)

local iu = require "inner_universe"
local command = require "command"
local module_variant = require "module_variant"
local spacetimedb = require "spacetimedb"

local OLDER = { { "schema.c", '{"check_permission", "CheckPermission", NERV_CALLED}', '{"another_one", "CheckPermission", NERV_CALLED}' } }

local there = spacetimedb.address and spacetimedb.wasm and module_variant.possible()
local with_server = there and it or pending

describe("a server's module that cannot be asked", function()
  with_server("is named by `can` until it is published anew", function()
    local folder, name, token = command.folder(), spacetimedb.name(), nil
    finally(function()
      os.execute("rm -rf " .. command.quote(folder))
      if token then spacetimedb.discard(name, token) end
    end)
    token = assert(spacetimedb.publish(name, module_variant.build(folder, OLDER)))
    local m <close> = assert(iu.open(spacetimedb.address .. "/" .. name, { token = token, log_level = "off", plugins = { security = true } }))
    local me = m.client:connection():identity()
    local may, err = m.security:can(me, "create_entity", "Person")
    assert.is_nil(may)
    assert.equal("AuthorizationError", err.kind)
    assert.is_truthy(err.message:find("publish the module", 1, true), err.message)
    assert.equal("ValidationError", select(2, m.security:can("somebody", "create_entity")).kind)
    assert(spacetimedb.publish(name, nil, token))
    assert.is_true(m.security:can(me, "create_entity", "Person"))
  end)
end)
