-- Events to files and back: JSON lines, CloudEvents, once each whatever is repeated.

local iu = require "inner_universe"
local support = require "support"

describe("events", function()
  local m, bus
  local function fresh()
    m = support.open { log_level = "off" }
    bus = m.event_bus
  end
  before_each(fresh)
  after_each(support.clean)

  local DATA = { iu.null, 1, 1.0, "text ünï", true, iu.array {}, { a = { 1, 2.5, iu.null }, ["x.y"] = iu.object {} }, math.maxinteger }

  local function fill()
    for i, data in ipairs(DATA) do assert(bus:publish(i % 2 == 0 and "EVEN" or "ODD", data, i % 3 == 0 and "a source, with blanks/%" or nil)) end
  end

  local function told(types)
    local out = {}
    for i, message in ipairs(assert(bus:events { type = types or { "EVEN", "ODD" } })) do
      out[i] = { message.id, message.type, message.source or "none", iu.json.encode(message.data) }
    end
    return out
  end

  local function read(path)
    local file = assert(io.open(path, "rb"))
    local text = file:read("a")
    file:close()
    return text
  end

  for _, format in ipairs { "jsonl", "cloudevents", "cloudevents-batch" } do
    it("go to a file as " .. format .. ", and come back the same", function()
      fill()
      local before, path = told(), support.path()
      assert.equal(#DATA, bus:export_events(path, { format = format, type = { "EVEN", "ODD" } }))
      assert.same({ imported = 0, skipped = #DATA }, bus:import_events(path))
      assert.same(before, told())
      fresh()
      assert.same({ imported = #DATA, skipped = 0 }, bus:import_events(path))
      assert.same({ imported = 0, skipped = #DATA }, bus:import_events(path))
      assert.same(before, told())
    end)
  end

  it("as CloudEvents have the attributes of the specification", function()
    local id = assert(bus:publish("ORDER", { n = 1 }, "shop one"))
    assert(bus:publish("ORDER", iu.null))
    local lines = {}
    assert.equal(2, bus:export_events(function(line) lines[#lines + 1] = iu.json.decode(line) end, { format = "cloudevents", type = "ORDER" }))
    local message = bus:events({ type = "ORDER" })[1]
    support.exactly({
      specversion = "1.0", id = id, source = "shop%20one", iusource = "shop one", type = "ORDER", datacontenttype = "application/json", data = { n = 1 },
      time = os.date("!%Y-%m-%dT%H:%M:%S", message.timestamp // 1000000) .. (".%06dZ"):format(message.timestamp % 1000000),
      sequence = ("%020d"):format(message.sequence), iuactor = message.actor,
    }, lines[1])
    assert.same({ "urn:inner-universe", iu.null }, { lines[2].source, lines[2].data })
    for _, key in ipairs { "specversion", "id", "source", "iusource", "type", "time", "datacontenttype", "sequence", "iuactor", "data" } do
      assert.is_truthy(key:match("^[a-z0-9]+$") and #key <= 20, "names are lower case, as the specification wants them")
    end
  end)

  it("of others come in: pretty arrays, unknown attributes, no data", function()
    local path = support.path()
    local event = { specversion = "1.0", id = "A", source = "https://shop.example/a%20b", type = "com.example.sold", subject = "x", data = { n = 1 } }
    support.write(path, '[\n  {\n    "specversion": "1.0",\n    "id": "B", "source": "/s",\n    "type": "t"\n  }\n,' .. iu.json.encode(event) .. "]\n")
    assert.same({ imported = 2, skipped = 0 }, bus:import_events(path))
    local sold, bare = m.client:get_event("A"), m.client:get_event("B")
    assert.same({ "com.example.sold", "https://shop.example/a%20b", 1 }, { sold.event_type, sold.source, sold.data.n })
    assert.same({ "t", "/s", iu.null }, { bare.event_type, bare.source, bare.data })
    local lines = { '[' .. iu.json.encode(event) .. ']', "", "  " }
    assert.same({ imported = 0, skipped = 1 }, bus:import_events(function() return table.remove(lines, 1) end))
    support.write(path, "[]\n")
    assert.same({ imported = 0, skipped = 0 }, bus:import_events(path))
  end)

  it("go out by place, type and filter, and by more than a page", function()
    local conn = m.client:connection()
    for block = 0, 5 do
      local operations = {}
      for n = 1, 100 do
        operations[n] = { tag = "PublishEvent", value = { event_type = "N", source = "", data = ('{"n":%d}'):format(block * 100 + n) } }
      end
      assert(conn:call("transact", operations, nil))
    end
    local all = bus:events { type = "N" }
    local function numbers(options)
      local out = {}
      assert(bus:export_events(function(line) out[#out + 1] = iu.json.decode(line).data.n end, options))
      return { #out, out[1], out[#out] }
    end
    assert.same({ 600, 1, 600 }, numbers { type = "N" })
    assert.same({ 101, 50, 150 }, numbers { type = "N*", from = all[50].sequence, to = all[150].sequence })
    assert.same({ 10, 591, 600 }, numbers { type = "N", filters = { { "data.n", "GreaterThan", 590 } } })
    local path = support.path()
    assert(bus:export_events(path, { type = "N" }))
    fresh()
    local seen = 0
    assert(bus:register_handler("N", function() seen = seen + 1 end))
    assert.same({ imported = 600, skipped = 0 }, bus:import_events(path))
    support.wait_until(function() return seen == 600 end)
  end)

  it("are told when they come in, and by whom they were put there twice in one file, once", function()
    local lines = { '{"id":"x","type":"N","data":{"n":1}}', '{"id":"x","type":"N","data":{"n":2}}', '{"id":"y","type":"N"}' }
    local heard = {}
    assert(bus:register_handler("N", function(message) heard[#heard + 1] = message.id end))
    assert.same({ imported = 2, skipped = 1 }, bus:import_events(function() return table.remove(lines, 1) end))
    support.settle(m.client:connection())
    assert.same({ "x", "y" }, heard)
    assert.equal(1, m.client:get_event("x").data.n)
  end)

  it("that make no sense end an import, which says the line; what came before is there", function()
    local good = '{"id":"g%d","type":"N"}'
    for i, bad in ipairs {
      "{", '"text"', "5", '{"type":"N"}', '{"id":"b","type":5}', '{"id":"b","type":"N","source":5}', '{"id":"","type":"N"}', '{"id":"b","type":""}',
      '{"specversion":"0.3","id":"b","type":"N","source":"s"}', '{"specversion":"1.0","id":"b","type":"N"}',
      '{"specversion":"1.0","id":"b","type":"N","source":"s","data_base64":"AA=="}',
    } do
      local lines = { good:format(i), bad, '{"id":"never","type":"N"}' }
      local report, err = bus:import_events(function() return table.remove(lines, 1) end)
      assert.is_nil(report, bad)
      assert.equal("ValidationError", err.kind, bad)
      assert.equal(2, err.details.line, bad)
    end
    assert.is_nil((m.client:get_event("b")))
    assert.is_nil((m.client:get_event("never")))
    for i = 1, 11 do assert.is_table((m.client:get_event("g" .. i))) end
  end)

  it("that are refused before a line that makes no sense are what ends an import", function()
    local lines = { '{"id":"a","type":"N"}', '{"id":"b","type":""}', "{", '{"id":"never","type":"N"}' }
    local _, err = bus:import_events(function() return table.remove(lines, 1) end)
    support.refused("ValidationError", nil, err, "line 2: event_type")
    assert.same({ line = 2, imported = 1, skipped = 0 }, err.details)
  end)

  it("keep their sources as CloudEvents, whatever they are", function()
    local sources = { "urn:inner-universe", "100%", "a%20b", "%%41", "a b/\"c\"", "übermut", "%" }
    for _, source in ipairs(sources) do assert(bus:publish("N", {}, source)) end
    assert(bus:publish("N", {}))
    local lines, uris = {}, {}
    assert(bus:export_events(function(line) lines[#lines + 1] = line end, { format = "cloudevents", type = "N" }))
    for i, line in ipairs(lines) do uris[i] = assert(iu.json.decode(line)).source end
    assert.same({ "urn:inner-universe", "100%25", "a%20b", "%25%41", "a%20b/%22c%22", "%C3%BCbermut", "%25", "urn:inner-universe" }, uris)
    fresh()
    assert.same({ imported = 8, skipped = 0 }, bus:import_events(function() return table.remove(lines, 1) end))
    local found = bus:events { type = "N" }
    for i = 1, 8 do assert.equal(sources[i], found[i].source) end
  end)

  it("come in from nothing that is no text, no file, or cut off", function()
    support.refused("StorageError", nil, select(2, bus:import_events(support.folder())), "import_events", "directory")
    for _, what in ipairs { 5, {}, true } do
      local lines = { '{"id":"before' .. type(what) .. '","type":"N"}', what }
      local _, err = bus:import_events(function() return table.remove(lines, 1) end)
      support.refused("ValidationError", nil, err, "source", type(what))
      assert.equal(1, err.details.imported)
    end
    local lines = { "[", '{"id":"x","type":"N"},' }
    local _, err = bus:import_events(function() return table.remove(lines, 1) end)
    support.refused("ValidationError", nil, err, "line 1", "no end")
    assert.equal(1, err.details.imported)
  end)

  it("leave nothing half behind, and refuse what makes no sense", function()
    fill()
    local path = support.path()
    assert(bus:export_events(path))
    local text = read(path)
    support.refused("ValidationError", nil, select(2, bus:export_events(path)), "there already")
    assert(bus:export_events(path, { overwrite = true, type = "EVEN" }))
    assert.is_true(#read(path) < #text)
    assert.is_nil((io.open(path .. ".part")))
    local other = assert(iu.new_file(path)) -- another program's export
    support.refused("UniverseLockedError", nil, select(2, bus:export_events(path, { overwrite = true })), "export_events")
    other:close()
    local database = support.path() .. ".universe"
    assert(iu.open(database)):shutdown()
    support.refused("StorageError", nil, select(2, bus:export_events(database, { overwrite = true })), "export_events", "database")
    support.refused("StorageError", nil, select(2, bus:export_events("/nonexistent/folder/x")), "/nonexistent")
    support.refused("StorageError", nil, select(2, bus:import_events("/nonexistent/folder/x")), "/nonexistent")
    support.refused("ValidationError", nil, select(2, bus:export_events(path, { format = "xml" })), "format", "xml")
    support.refused("ValidationError", nil, select(2, bus:export_events(path, { from = "yesterday" })), "from")
    support.refused("ValidationError", nil, select(2, bus:export_events(path, { until_ = 1 })), "until_")
    support.raises_here(function() bus:export_events() end, "target")
    support.raises_here(function() bus:import_events(5) end, "source")
  end)
end)
