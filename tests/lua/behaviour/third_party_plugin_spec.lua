-- A plugin of somebody else, in a folder of theirs, that knows nothing but the documented contract (lua/README.md, "A plugin"): it is found, configured,
-- started, hooks the manager, keeps state of its own, tells others, works beside the program, says how it is, and is stopped; the command shows it.

local iu = require "inner_universe"
local command = require "command"
local support = require "support"

local MANIFEST = [[
return {
  name = "ledger",
  version = "2.1.0",
  api = ">=1.0 <2",
  description = "Counts what is paid to whom, and stops at a limit.",
  requires = { persistence_manager = ">=0.1 <1", event_bus = "*" },
  config = {
    limit = { default = 1000, description = "Cents that may be paid in all." },
    currency = { default = "CHF", description = "What the amounts are in." },
    notify = { type = "string", description = "An event type that is published for each payment." },
  },
}
]]

local INIT = [[
-- Keeps the sum of all payments in a record of its own; a payment is an entity of the type Payment with properties.cents.
local plugin = ...
local iu = require "inner_universe"
local record = plugin.load "record"

local M = {}

function M.validate(config)
  if config.limit > 0 then return true end
  return nil, ("limit: expected more than 0, got %d"):format(config.limit)
end

function M.start(ctx)
  local manager, bus = ctx.plugin("persistence_manager"), ctx.plugin("event_bus")
  local check, methods = ctx.check, {}
  local listeners = ctx.handlers("listeners of the ledger")
  local refused, told, swept, broken = 0, 0, 0, nil

  local function cents_of(metadata)
    local properties = type(metadata) == "table" and metadata.properties
    return type(properties) == "table" and math.type(properties.cents) == "integer" and properties.cents or nil
  end

  local hooks = {
    ctx.hooks.before("create_entity", function(call)
      local cents = call.args[1] == "Payment" and cents_of(call.args[2])
      if not cents then return end
      local sum, err = record.add(ctx.conn, cents, ctx.config.limit)
      if sum then return end
      refused = refused + 1
      return false, err
    end),
    ctx.hooks.after("create_entity", function(call)
      local cents = call.args[1] == "Payment" and cents_of(call.args[2])
      if not cents then return end
      listeners:emit(call.results[1], cents)
      if ctx.config.notify then manager:publish_event(ctx.config.notify, { id = call.results[1], cents = cents }, ctx.name) end
    end),
  }
  local heard = assert(bus:register_handler(ctx.config.notify or "PAYMENT_MADE", function() told = told + 1 end))
  ctx.spawn(function()
    while true do
      iu.sleep(0.002)
      swept = swept + 1
    end
  end)

  function methods:pay(whom, cents)
    if not ctx.conn then check.raise("ledger is closed") end
    check.type(whom, "string", 1, "pay", "whom")
    check.type(cents, "integer", 2, "pay", "cents")
    if cents <= 0 then return nil, iu.errors.new("ValidationError", ("cents: expected more than 0, got %d"):format(cents)) end
    return manager:create_entity("Payment", { name = whom, properties = { cents = cents, currency = ctx.config.currency } })
  end

  function methods:total() return record.read(ctx.conn) end
  function methods:on_payment(fn)
    check.type(fn, "callable", 1, "on_payment", "fn")
    return listeners:add(fn)
  end
  function methods:break_down(why) broken = why end
  function methods:facts() return { refused = refused, told = told, swept = swept } end

  function methods:stop()
    for _, hook in ipairs(hooks) do hook:remove() end
    heard:cancel()
    ctx.log.info("%d payments were refused", refused)
    assert(ctx.conn:call("put_record", "ledger.stopped", iu.json.encode { refused = refused }, nil, nil))
  end

  function methods:health()
    if broken then return nil, broken end
    return true, { refused = refused, currency = ctx.config.currency }
  end

  return ctx.hooks.class("ledger", methods, {}).new {}
end

return M
]]

local RECORD = [[
-- The sum, in a plugin_record: read, and put back only where nobody else was quicker.
local iu = require "inner_universe"

local record = {}
local KEY = "ledger.sum"

local function current(conn)
  local row, err = conn:get("plugin_record", KEY)
  if err then return nil, err end
  return row and math.tointeger(tonumber(row.value)) or 0, row and row.revision or 0
end

function record.read(conn)
  local sum, err = current(conn)
  if not sum then return nil, err end
  return sum
end

function record.add(conn, cents, limit)
  for _ = 1, 100 do
    local sum, revision = current(conn)
    if not sum then return nil, revision end
    if sum + cents > limit then
      return nil, iu.errors.new("OverloadedError", ("limit: %d are paid, %d more would pass %d"):format(sum, cents, limit))
    end
    local ok, err = conn:call("put_record", KEY, tostring(sum + cents), revision, nil)
    if ok then return sum + cents end
    if err.kind ~= "ConflictError" then return nil, err end
  end
  return nil, iu.errors.new("ConflictError", "others are quicker", { retryable = true })
end

return record
]]

describe("a plugin of somebody else", function()
  local folder, lines

  before_each(function()
    folder, lines = support.folder(), {}
    support.write(folder .. "/ledger/manifest.lua", MANIFEST)
    support.write(folder .. "/ledger/init.lua", INIT)
    support.write(folder .. "/ledger/record.lua", RECORD)
    iu.log.set_sink(function(level, message, source) lines[#lines + 1] = ("%s %s: %s"):format(level, source, message) end)
  end)

  after_each(function()
    iu.log.set_sink(nil)
    support.clean()
  end)

  local function config(settings)
    return { plugins = { paths = { folder }, ledger = settings or true } }
  end

  local function logged(text)
    return table.concat(lines, "\n"):find(text, 1, true) ~= nil
  end

  it("does what it is for, with its configuration, on every backend", function()
    local m = support.open(config { limit = 500, notify = "PAID" })
    local paid = {}
    local handle = assert(m.ledger:on_payment(function(id, cents) paid[#paid + 1] = { id, cents } end))
    local id = assert(m.ledger:pay("Ada", 200))
    assert.equal("CHF", m:get_entity(id).metadata.properties.currency)
    assert(m:create_entity("Payment", { properties = { cents = 250 } })) -- its hooks see others' calls
    assert(m:create_entity("Person", { properties = { cents = 1 } }))
    local err = support.refused("OverloadedError", nil, select(2, m.ledger:pay("Bob", 51)), "450 are paid")
    assert.is_true(err.retryable)
    assert.equal(450, m.ledger:total())
    assert.equal(2, #m:query_entities { entity_type = "Payment" })
    assert.same({ 200, 250 }, { paid[1][2], paid[2][2] })
    assert.equal(id, paid[1][1])
    handle:cancel()
    assert(m.ledger:pay("Eve", 50))
    assert.equal(2, #paid)
    support.wait_until(function() return m.ledger:facts().told == 3 and m.ledger:facts().swept > 2 end)
    support.refused("ValidationError", nil, select(2, m.ledger:pay("Eve", 0)), "cents")
    support.raises_here(function() m.ledger:pay(5, 1) end, "whom")
    support.raises_here(function() m.ledger.pay = 1 end, "cannot be set")
  end)

  it("keeps what it has written, and is stopped in time to write", function()
    local m = support.open(config())
    assert(m.ledger:pay("Ada", 700))
    support.refused("OverloadedError", nil, select(2, m.ledger:pay("Ada", 301)))
    local ledger = m.ledger
    m = support.reopen(m, config())
    assert.equal(700, m.ledger:total())
    if support.keeps then
      assert.equal('{"refused":1}', m.client:query("SELECT * FROM plugin_record WHERE key = 'ledger.stopped'")[1].value)
      assert.is_true(logged("info ledger: 1 payments were refused"))
      support.raises_here(function() ledger:pay("Ada", 1) end, "ledger is closed")
      support.refused("OverloadedError", nil, select(2, m.ledger:pay("Ada", 301)))
    end
    iu.run(function() iu.sleep(0.005) end) -- ends: its background task is nobody's to wait for
  end)

  it("can be left out, and be wanted by another one", function()
    support.write(folder .. "/report/manifest.lua",
      'return { name = "report", version = "1.0.0", api = ">=1.0 <2", requires = { ledger = ">=2 <3", persistence_manager = "*" } }')
    support.write(folder .. "/report/init.lua", [[return { start = function(ctx)
      return { text = function() return "paid: " .. ctx.plugin("ledger"):total() end }
    end }]])
    local m = support.open { plugins = { paths = { folder }, report = true } } -- the ledger runs because it is required
    assert(m.ledger:pay("Ada", 5))
    assert.equal("paid: 5", m:plugin("report").text())
    m = support.open { plugins = { paths = { folder }, report = true, ledger = false } }
    support.refused("PluginError", nil, select(2, m:plugin("ledger")), "left out")
    support.refused("PluginError", nil, select(2, m:plugin("report")), "ledger", "left out")
    assert(m:create_entity("Payment", { properties = { cents = 5000 } }))
  end)

  it("says what is wrong with its configuration", function()
    for text, settings in pairs {
      ["limit: expected more than 0"] = { limit = 0 }, ["unknown key 'limt'"] = { limt = 5 }, ["notify: string expected"] = { notify = 5 },
    } do
      local m = support.open(config(settings))
      support.refused("PluginError", nil, select(2, m:plugin("ledger")), text)
      assert(m:create_entity("Payment", { properties = { cents = 5000 } })) -- the universe is open without it
    end
  end)

  it("can be tested with what the library has for that", function()
    local testing = assert(iu.testing())
    local clock <close> = assert(testing.fake_clock())
    local m = assert(testing.fixture { config = config { notify = "PAID" } })
    assert(m.ledger:pay("Ada", 5))
    clock:advance(1)
    assert.is_true(m.ledger:facts().swept >= 499)
    assert(testing.fail(m, "ledger.pay", "TimeoutError", { times = 1 }))
    support.refused("TimeoutError", nil, select(2, m.ledger:pay("Ada", 5)))
    local mock = assert(testing.mock { plugins = config().plugins })
    mock:when("ledger.total"):returns(5)
    assert.equal(5, mock.ledger:total())
    assert(testing.clean())
  end)

  if support.on_server then return end -- the command needs no server for what follows

  local function config_file(settings)
    local path = support.path() .. ".lua"
    support.write(path, ("return { plugins = { paths = { %q }, ledger = %s } }"):format(folder, settings))
    return path
  end

  it("is shown by iu plugins", function()
    local run = command.iu("plugins --config " .. command.quote(config_file("{ limit = 5 }")))
    assert.equal(0, run.status, run.err)
    assert.matches("ledger +2.1.0 +validated +event_bus %*, persistence_manager >=0.1 <1 +Counts what is paid", run.out)
    assert.truthy(run.out:find(("ledger: %s/ledger"):format(folder), 1, true))
    run = command.iu("plugins --config " .. command.quote(config_file("{ limit = 0 }")))
    assert.equal(1, run.status)
    assert.matches("ledger +2.1.0 +refused .*limit: expected more than 0", run.out)
  end)

  it("is shown by iu doctor, with what its health says", function()
    local run = command.iu("doctor --config " .. command.quote(config_file('{ currency = "EUR" }')))
    assert.equal(0, run.status, run.out .. run.err)
    assert.matches("\nok +plugin ledger 2.1.0: currency EUR, refused 0\n", run.out)
    support.write(folder .. "/ledger/init.lua", INIT:gsub("broken = 0, 0, 0, nil", 'broken = 0, 0, 0, "the safe is empty"'))
    run = command.iu("doctor --config " .. command.quote(config_file("true")))
    assert.equal(1, run.status)
    assert.matches("\nBAD +plugin ledger 2.1.0 is not well: the safe is empty\n", run.out)
    run = command.iu("doctor --config " .. command.quote(config_file("{ limit = 0 }")))
    assert.equal(1, run.status)
    assert.matches("\nBAD +plugin ledger is refused: configuration: limit: expected more than 0", run.out)
    run = command.iu("doctor --config " .. command.quote(config_file("false")))
    assert.equal(0, run.status, run.out .. run.err)
    run = command.iu("doctor --config /nonexistent.lua")
    assert.equal(1, run.status)
    assert.matches("\nBAD +plugins: .*/nonexistent.lua", run.out)
  end)
end)
