-- Writes by many tasks over a connection that comes and goes, with a queue that is full at times, in universes that are closed in the midst of a replay and
-- opened while the server is away: what is acknowledged is applied, once, or is told to be refused; nothing raises.
--
-- IU_TEST_SEED repeats a run's choices (not its timing).

local iu = require "inner_universe"
local peer = require "peer"
local support = require "support"

local ROUNDS, WRITERS = 12, 10
local SEED = math.tointeger(tonumber(os.getenv("IU_TEST_SEED"))) or os.time()
local EXPECTED = { ConnectionError = true, ConflictError = true, OverloadedError = true, TimeoutError = true }

describe("in a storm", function()
  local server, manager
  after_each(function()
    if manager then manager:shutdown() end
    server:stop()
    manager = nil
    support.clean()
  end)

  it("every acknowledged write is applied once, or told to be refused", function()
    print("# fallback_storm_spec: IU_TEST_SEED=" .. SEED)
    math.randomseed(SEED)
    server = peer.start()
    local name, token = server:database()
    local target, path = ("ws://%s/%s"):format(server.address, name), support.path() .. ".queue"
    local acknowledged, taken, written, started_away = {}, 0, 0, 0

    local function fault(text) pcall(server.fault, server, text) end -- it may be deaf

    local function open()
      local settings = {
        token = token, log_level = "off", reconnect_min_delay_ms = 2, reconnect_max_delay_ms = 10,
        plugins = {
          batch = { max_wait_ms = 2, resend_ms = 20 },
          fallback = { path = path, queue_max = math.random(3) == 1 and 50 or 10000, when_full = math.random(2) == 1 and "wait" or "refuse" },
        },
      }
      support.wait_until(function()
        manager = iu.open(target, settings)
        if not manager then fault('{"refuse_connect":false}') end
        return manager
      end)
      return manager, assert(manager:plugin("fallback"))
    end

    local function write(m, id)
      local through, is_taken = math.random(3) == 1 and m.batch or m, math.random(6) == 1
      local ok, answer, err = pcall(function()
        if is_taken then return through:create_entity("T", { name = id }, "taken") end
        return through:publish_event("E", { id })
      end)
      if not ok then
        assert.truthy(tostring(answer):find("is closed", 1, true), answer)
      elseif answer and is_taken then
        taken = taken + 1
      elseif answer then
        acknowledged[id] = true
      else
        assert.is_true(EXPECTED[err.kind], tostring(err))
      end
    end

    local function round()
      fault(('{"drop_before_permille":%d,"drop_after_permille":%d,"seed":%d}'):format(math.random(0, 20), math.random(0, 20), math.random(1 << 20)))
      if math.random(3) == 1 then fault('{"refuse_connect":true}') end
      local m, fallback = open()
      if fallback:state() == "offline" then started_away = started_away + 1 end
      local closing = false
      iu.run(function()
        for _ = 1, WRITERS do
          iu.spawn(function()
            for _ = 1, math.random(5, 60) do
              if closing then return end
              written = written + 1
              write(m, "e" .. written)
              if math.random(20) == 1 then iu.sleep(0.003) end
            end
          end)
        end
        for _ = 1, math.random(6) do
          fault(({ '{"cut":true}', '{"refuse_connect":true,"cut":true}', '{"restart_ms":30}', '{"refuse_connect":false}' })[math.random(4)])
          iu.sleep(math.random() * 0.05)
        end
        if math.random(2) == 1 then fault('{"refuse_connect":false}') end
        iu.sleep(math.random() * 0.03)
        closing = true
        assert(m:shutdown())
      end)
      fault('{"refuse_connect":false}')
    end

    local m = open()
    assert(m:create_entity("T", nil, "taken"))
    assert(m:shutdown())
    for _ = 1, ROUNDS do round() end
    server:fault('{"reset":true}')
    local fallback
    m, fallback = open()
    assert(fallback:drain(60))
    local counts, count = {}, 0
    for _, row in ipairs(assert(m.client:query("SELECT * FROM event_log WHERE event_type = 'E'"))) do
      local id = iu.json.decode(row.data)[1]
      assert.is_nil(counts[id], id)
      counts[id], count = true, count + 1
    end
    for id in pairs(acknowledged) do assert.is_true(counts[id], "lost: " .. id) end
    local refused = assert(fallback:refused())
    for _, each in ipairs(refused) do assert.equal("taken", each.operation.value.id) end
    assert.equal(taken, #refused)
    print(("# %d writes, %d events applied, %d refusals told, %d times started away"):format(written, count, taken, started_away))
    assert.is_true(count > 200 and taken > 20, "too little happened")
  end)
end)
