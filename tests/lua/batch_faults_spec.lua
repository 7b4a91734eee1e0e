-- Batches over a connection that is cut again and again, before a transact is applied and after it: each write is applied once, and answered once.

local iu = require "inner_universe"
local peer = require "peer"
local support = require "support"

local SEED = math.tointeger(tonumber(os.getenv("IU_TEST_SEED"))) or os.time()
local WORKERS, WRITES = 40, 25

describe("batches over a connection that is lost", function()
  local server, manager
  after_each(function()
    if manager then manager:shutdown() end
    if server then server:stop() end
    manager, server = nil, nil
    support.clean()
  end)

  local function open(config)
    server = peer.start()
    local name, token = server:database()
    manager = assert(iu.open(("ws://%s/%s"):format(server.address, name),
      { token = token, log_level = "off", reconnect_min_delay_ms = 5, reconnect_max_delay_ms = 50, plugins = { batch = config } }))
    return manager.batch
  end

  it("are sent again under the same key, and applied once", function()
    print("# batch_faults_spec: IU_TEST_SEED=" .. SEED)
    local batch = open { max_batch_size = 10, max_wait_ms = 2, resend_ms = 60000 }
    server:fault(('{"seed":%d,"drop_before_permille":60,"drop_after_permille":60}'):format(SEED & 0x7fffffff))
    local unsent = 0
    iu.run(function()
      for worker = 1, WORKERS do
        iu.spawn(function()
          local id = "e" .. worker
          for n = 1, WRITES do
            repeat
              local ok, err
              if n == 1 then
                ok, err = batch:create_entity("T", { name = "1" }, id)
              else
                ok, err = batch:update_entity(id, { name = tostring(n) })
              end
              if not ok then -- never sent: the only thing that may be tried again
                assert(err.kind == "ConnectionError" and err.code ~= "UNKNOWN_OUTCOME", tostring(err))
                unsent = unsent + 1
                iu.sleep(0.005)
              end
            until ok
          end
        end)
      end
    end)
    server:fault('{"drop_before_permille":0,"drop_after_permille":0}')
    local numbers = batch:statistics()
    assert.is_true(numbers.resent > 0, "no outcome was unknown")
    local seen = {}
    for _, row in ipairs(assert(manager.client:query("SELECT * FROM event_log WHERE event_type = 'ENTITY_UPDATED'"))) do
      local key = row.source .. " " .. assert(iu.json.decode(row.data)).new_metadata.name
      assert(not seen[key], "applied twice: " .. key)
      seen[key] = true
    end
    for worker = 1, WORKERS do
      for n = 2, WRITES do assert(seen[("e%d %d"):format(worker, n)], "lost") end
      assert.equal(tostring(WRITES), manager:get_entity("e" .. worker).metadata.name)
    end
    print(("# %d writes in %d batches, %d calls made again, %d writes refused unsent"):format(numbers.applied, numbers.batches, numbers.resent, unsent))
  end)

  it("refuse one for want of a right, and write the others", function()
    open { max_wait_ms = 2 }
    assert(manager.client:connection():call("grant", "role:clerk", "create_entity", "*"))
    local other <close> = assert(iu.open(manager.client:connection():status().url .. "/d1",
      { token_file = "none", log_level = "off", plugins = { batch = { max_wait_ms = 2 } } }))
    local answers = {}
    iu.run(function()
      for i = 1, 6 do
        iu.spawn(function()
          if i % 2 == 0 then
            answers[i] = table.pack(other.batch:create_entity("T", nil, "e" .. i))
          else
            answers[i] = table.pack(other.batch:publish_event("E", { i }))
          end
        end)
      end
    end)
    local _, own = other:create_entity("T", nil, "e")
    for i = 1, 6 do
      if i % 2 == 0 then
        assert.equal(own.message, support.refused("AuthorizationError", answers[i][1], answers[i][2]).message)
      else
        assert(answers[i][1], tostring(answers[i][2]))
      end
    end
    assert.equal(0, #manager:query_entities({}))
  end)

  it("say what was sent where nobody can know whether it was applied", function()
    local batch = open { max_wait_ms = 1, resend_ms = 50 }
    server:fault('{"hold":true}')
    local err
    iu.run(function()
      iu.spawn(function() err = select(2, batch:create_entity("T", nil, "e")) end)
      iu.sleep(0.1)
      server:fault('{"restart_ms":3000}')
    end)
    support.refused("ConnectionError", nil, err)
    assert.same({ "UNKNOWN_OUTCOME", false, "e" }, { err.code, err.retryable, err.details.answer })
    assert.equal("CreateEntity", err.details.operations[1].tag)
    assert.equal("string", type(err.details.request_key))
  end)
end)
