-- The plugin metrics: what is counted, how it is told (Prometheus over HTTP, the log), its bounds, and how far the states of two systems agree.

local core = require "inner_universe.core"
local iu = require "inner_universe"
local support = require "support"

local function open(config, features, more)
  config = config or {}
  config.port = config.port or 0
  features = features or { enable_metrics = true }
  local all = { features = features, plugins = { metrics = config } }
  for key, value in pairs(more or {}) do all[key] = value end
  return support.open(all)
end

local function get(port, path)
  local answer, failure
  core.http({ url = ("http://127.0.0.1:%d%s"):format(port, path), method = "GET", timeout = 20 }, function(err, got)
    answer, failure = not err and got, err
  end)
  support.wait_until(function() return answer or failure end)
  return answer or nil, failure
end

-- The text as { [name{labels}] = value }, every line of it understood, and the kinds by name.
local function parse(text)
  local values, kinds, seen = {}, {}, {}
  assert.equal("\n", text:sub(-1))
  for line in text:gmatch("([^\n]*)\n") do
    local name, kind = line:match("^# TYPE ([%a_:][%w_:]*) (%a+)$")
    if name then
      assert.is_nil(kinds[name], "twice: " .. name)
      kinds[name] = kind
    elseif not line:find("^# HELP [%a_:][%w_:]* ") then
      local series, value = line:match("^(%S.*) (%S+)$")
      local family, labels = (series or ""):match("^([%a_:][%w_:]*)(.*)$")
      assert(family, "not a sample: " .. line)
      local rest = labels:gsub('[{,][%a_][%w_]*="[^"\\\n]*"', ""):gsub('[{,][%a_][%w_]*="[^\n]-[^\\]"', "")
      assert.is_true(rest == "" or rest == "}", "labels: " .. line)
      local number = tonumber(value) or ({ NaN = 0 / 0, ["+Inf"] = math.huge, ["-Inf"] = -math.huge })[value]
      assert(number, "value: " .. line)
      assert.is_nil(seen[series], "twice: " .. series)
      seen[series], values[series] = true, number
      local base = kinds[family] and family or family:gsub("_bucket$", ""):gsub("_sum$", ""):gsub("_count$", "")
      assert(kinds[base], "a sample before its TYPE: " .. line)
    end
  end
  return values, kinds
end

describe("metrics", function()
  after_each(support.clean)

  describe("of the program's own", function()
    it("count, and are found again by name and labels", function()
      local x = open().metrics
      local jobs = assert(x:counter("jobs_total", { kind = "mail", urgent = true }, "Jobs."))
      jobs:add()
      jobs:add(2.5)
      assert.equal(jobs, x:counter("jobs_total", { urgent = true, kind = "mail" }))
      local depth = assert(x:gauge("depth"))
      depth:set(7)
      depth:add(-2)
      local sizes = assert(x:histogram("sizes", { 1, 10, 100 }, { of = "x" }))
      for _, value in ipairs { 0, 1, 1.5, 10, 11, 100, 1000 } do sizes:observe(value) end
      local values, kinds = parse(x:text())
      assert.same({ "counter", "gauge", "histogram" }, { kinds.jobs_total, kinds.depth, kinds.sizes })
      assert.same({ 3.5, 5 }, { values['jobs_total{kind="mail",urgent="true"}'], values.depth })
      assert.same({ 2, 4, 6, 7, 7, 1123.5 }, {
        values['sizes_bucket{of="x",le="1"}'], values['sizes_bucket{of="x",le="10"}'], values['sizes_bucket{of="x",le="100"}'],
        values['sizes_bucket{of="x",le="+Inf"}'], values['sizes_count{of="x"}'], values['sizes_sum{of="x"}'],
      })
      assert.equal(3.5, x:value("jobs_total", { kind = "mail", urgent = true }))
      assert.same({ count = 7, sum = 1123.5 }, x:value("sizes", { of = "x" }))
      assert.is_nil(x:value("nothing"))
      assert.is_truthy(x:text():find("# HELP jobs_total Jobs.\n", 1, true))
    end)

    it("are written so that they can be read: escapes, floats, infinities", function()
      local x = open().metrics
      assert(x:gauge("g", { of = 'a"b\\c\nd' }, "One\nline \\ only.")):set(1)
      for name, value in pairs { nan = 0 / 0, inf = math.huge, minus = -math.huge, third = 1 / 3, large = 2 ^ 53, small = 5e-324, int = 1 << 62 } do
        assert(x:gauge(name)):set(value)
      end
      local text = x:text()
      assert.is_truthy(text:find('\ng{of="a\\"b\\\\c\\nd"} 1\n', 1, true))
      assert.is_truthy(text:find("# HELP g One\\nline \\\\ only.\n", 1, true))
      for _, line in ipairs { "nan NaN", "inf +Inf", "minus -Inf", "large 9007199254740992", "int 4611686018427387904" } do
        assert.is_truthy(text:find("\n" .. line .. "\n", 1, true), line)
      end
      assert.equal(1 / 3, tonumber(text:match("\nthird (%S+)")))
      assert.equal(5e-324, tonumber(text:match("\nsmall (%S+)")))
    end)

    it("never fall where integers end", function()
      local x = open().metrics
      local c, g = assert(x:counter("c")), assert(x:gauge("g"))
      c:add(math.maxinteger)
      c:add(math.maxinteger)
      g:add(math.mininteger)
      g:add(-1)
      assert.same({ 2.0 ^ 64, -2.0 ^ 63 }, { c.value, g.value })
      g:add(math.maxinteger)
      assert.is_true(g.value <= 0)
      local values = parse(x:text())
      assert.same({ 2.0 ^ 64, g.value }, { values.c, values.g })
    end)

    it("refuse what cannot be", function()
      local x = open({ max_metrics = 5 }).metrics
      local function refused(...) support.refused("ValidationError", ...) end
      refused(nil, select(2, x:counter("1x")), "name")
      refused(nil, select(2, x:counter("iu_mine")), "iu_")
      refused(nil, select(2, x:counter(("x"):rep(201))), "name")
      refused(nil, select(2, x:counter("c", { ["a-b"] = 1 })), "a-b")
      refused(nil, select(2, x:counter("c", { __name = 1 })), "__name")
      refused(nil, select(2, x:histogram("c", nil, { le = 1 })), "le")
      refused(nil, select(2, x:counter("c", { a = {} })), "labels.a")
      refused(nil, select(2, x:counter("c", { a = ("x"):rep(257) })), "256")
      refused(nil, select(2, x:counter("c", { a = "\xff" })), "UTF-8")
      refused(nil, select(2, x:histogram("h", {})), "buckets")
      refused(nil, select(2, x:histogram("h", { 1, 1 })), "buckets[2]")
      refused(nil, select(2, x:histogram("h", { 0 / 0 })), "buckets[1]")
      local c = assert(x:counter("c", { a = 1 }))
      refused(nil, select(2, x:gauge("c", { a = 1 })), "counter")
      refused(nil, select(2, x:counter("c")), "{ a }")
      refused(nil, select(2, c:add(-1)), "add")
      refused(nil, select(2, c:add(0 / 0)), "add")
      refused(nil, select(2, c:add("5")), "a number from 0 expected, got string")
      refused(nil, select(2, assert(x:gauge("g")):set("1")), "set")
      local h = assert(x:histogram("h", { 1, 2 }))
      refused(nil, select(2, h:observe(math.huge)), "observe")
      refused(nil, select(2, h:observe("5")), "a number expected, got string")
      refused(nil, select(2, x:histogram("h", { 1, 3 })), "others")
      assert.equal(h, x:histogram("h"))
      refused(nil, select(2, x:counter("d", nil, "\xff")), "help", "UTF-8")
      refused(nil, select(2, x:counter("h_count")), "h_count", "histogram h")
      assert(x:counter("of_sum"))
      refused(nil, select(2, x:histogram("of")), "of_sum")
      support.raises_here(function() x:counter() end, "name: string expected")
      support.raises_here(function() x:gauge("x", 1) end, "labels: table or nil expected")
      assert(x:counter("fifth"))
      support.refused("OverloadedError", nil, select(2, x:counter("sixth")), "max_metrics")
    end)

    it("have at most so many series: more are counted under (other)", function()
      local x = open({ max_series = 10 }).metrics
      for i = 1, 1000 do assert(x:counter("requests_total", { user = i })):add() end
      local values = parse(x:text())
      local series, sum = 0, 0
      for name, value in pairs(values) do
        if name:find("^requests_total") then series, sum = series + 1, sum + value end
      end
      assert.same({ 11, 1000, 990 }, { series, sum, values['requests_total{user="(other)"}'] })
      assert.equal(990, values.iu_metrics_series_overflowed_total)
    end)
  end)

  describe("of the universe", function()
    it("count methods: every call, and look at one in so many", function()
      local m = open { sample_every = 4 }
      for i = 1, 10 do assert(m:create_entity("T", nil, "e" .. i)) end
      for _ = 1, 8 do m:get_entity("nobody") end
      m.temporal_store:commit_version({ a = 1 })
      m:publish_event("E")
      m.event_bus:publish("E")
      local values = parse(m.metrics:text())
      assert.equal(10, values['iu_method_calls_total{method="create_entity"}'])
      assert.equal(2, values['iu_method_seconds_count{method="create_entity"}'])
      assert.equal(0, values['iu_method_failures_total{method="create_entity"}'])
      assert.equal(2, values['iu_method_failures_total{method="get_entity"}'])
      assert.equal(1, values['iu_method_calls_total{method="temporal_store.commit_version"}'])
      assert.equal(2, values.iu_events_published_total)
      assert.is_true(values.iu_events_logged_total >= 12)
      assert.equal(1, values.iu_connection_up)
      assert.equal(1, values.iu_branches)
      assert.equal(1, values['iu_plugin_up{plugin="metrics"}'])
      assert.equal(0, values.iu_collect_failures_total)
      if support.on_server then
        assert.is_true(values.iu_server_calls_total > 10)
      else
        assert.is_true(values.iu_transactions_total > 10 and values.iu_journal_commits_total > 10)
        assert.equal(1, values.iu_versions)
      end
    end)

    it("count events as handlers get them, and handlers that raise", function()
      local m = open { sample_every = 1 }
      local heard = 0
      assert(m.event_bus:register_handler("GOOD", function(message)
        heard = heard + message.data.n
        iu.sleep(0.001)
      end))
      assert(m.event_bus:register_handler("BAD", function() error("broken on purpose") end))
      assert(m.event_bus:register_handler("*", setmetatable({}, { __call = function() heard = heard + 1 end })))
      for _ = 1, 3 do assert(m:publish_event("GOOD", { n = 10 })) end
      assert(m:publish_event("BAD"))
      support.wait_until(function() return heard == 34 and #support.reported == 1 end)
      local traced = support.take_reported()[1]
      assert.is_truthy(tostring(traced.err):find("broken on purpose", 1, true))
      local values
      support.wait_until(function()
        values = parse(m.metrics:text())
        return values['iu_event_handling_seconds_count{type="GOOD"}'] == 3
      end)
      assert.equal(3, values['iu_events_consumed_total{type="GOOD"}'])
      assert.equal(4, values['iu_events_consumed_total{type="*"}'])
      assert.equal(0, values['iu_events_handler_failures_total{type="GOOD"}'])
      assert.equal(1, values['iu_events_handler_failures_total{type="BAD"}'])
      assert.is_true(values['iu_event_handling_seconds_sum{type="GOOD"}'] >= 0.003)
      assert.equal(3, values['iu_event_delivery_seconds_count{type="GOOD"}'])
      local long = 0
      assert(m.event_bus:register_handler(("*"):rep(300), function() long = long + 1 end)) -- no label can be so long
      assert(m:publish_event("ANY"))
      support.wait_until(function() return long == 1 end)
      assert.equal(1, parse(m.metrics:text())['iu_events_consumed_total{type="(other)"}'])
      support.raises_here(function() m.event_bus:register_handler("X", 1) end, "fn: callable expected")
    end)

    it("tell durable consumers: runs of their handlers, those that failed, how far behind they are", function()
      local m = open()
      local failures = 0
      local consumer = assert(m.event_bus:consumer("billing", { types = "ORDER", from = "now", retry_delay = 0.01, handler = function(delivery)
        if delivery.data.bad and failures < 2 then
          failures = failures + 1
          return nil, "not yet"
        end
      end }))
      for i = 1, 5 do assert(m:publish_event("ORDER", { bad = i == 3 })) end
      iu.run(function() assert(consumer:wait_idle(20)) end)
      local values = parse(m.metrics:text())
      assert.equal(7, values['iu_consumer_handled_total{consumer="billing"}'])
      assert.equal(2, values['iu_consumer_failed_total{consumer="billing"}'])
      assert.equal(0, values['iu_consumer_dead_total{consumer="billing"}'])
      assert.equal(0, values['iu_consumer_lag{consumer="billing"}'])
      assert(consumer:stop())
    end)

    it("tell caches, and what the plugins say of themselves", function()
      local m = support.open { features = { enable_metrics = true }, plugins = { metrics = { port = 0 }, cache = true } }
      m.cache:set("k", 1)
      m.cache:get("k")
      m.cache:get("nobody")
      local values = parse(m.metrics:text())
      assert.same({ 1, 1, 1 }, {
        values['iu_cache_hits_total{of="values"}'], values['iu_cache_misses_total{of="values"}'], values['iu_cache_entries{of="values"}'],
      })
      assert.equal(1, values['iu_plugin_fact{plugin="cache",fact="entries"}'])
      assert.is_true(values.iu_cache_memory_bytes > 0 and values.iu_cache_memory_limit_bytes == 256 << 20)
    end)

    it("hook any method without replacing it", function()
      local m = open()
      local log = {}
      local handle = assert(m.metrics:hook("update_entity", {
        before = function() log[#log + 1] = "before" end,
        around = function(_, next) log[#log + 1] = "around" return next() end,
        after = function(call) log[#log + 1] = "after " .. tostring(call.results[1]) end,
        on_error = function(call) log[#log + 1] = call.err.kind end,
      }))
      assert(m.metrics:hook("neighbors"))
      local id = assert(m:create_entity("T"))
      assert(m:update_entity(id, {}))
      support.refused("EntityNotFoundError", nil, select(2, m:update_entity("nobody", {})))
      assert.same({ "before", "around", "after true", "before", "around", "EntityNotFoundError" }, log)
      handle:remove()
      assert(m:update_entity(id, {}))
      assert.equal(6, #log)
      assert(m:neighbors(id))
      local values = parse(m.metrics:text())
      assert.equal(3, values['iu_method_calls_total{method="update_entity"}'])
      assert.equal(1, values['iu_method_calls_total{method="neighbors"}'])
      support.refused("ValidationError", nil, select(2, m.metrics:hook("updat_entity")), "no method 'updat_entity'", "update_entity")
      support.refused("ValidationError", nil, select(2, m.metrics:hook("update_entity", { befor = print })), "before")
      support.refused("ValidationError", nil, select(2, m.metrics:hook("update_entity", { before = 1 })), "before: callable")
    end)
  end)

  describe("of states that two systems have", function()
    it("say whether they agree, and by how many versions one is behind", function()
      local m = open()
      local x, ids = m.metrics, {}
      for i = 1, 40 do ids[i] = assert(m:commit_version({ n = i })) end
      local head = assert(m.temporal_store:get_version(ids[40]))
      assert.same({ agrees = true, lag = 0, head = ids[40] }, x:report_state("sun", nil, ids[40]))
      assert.same({ agrees = true, lag = 0, head = ids[40] }, x:report_state("hash", "main", head.data_hash:upper()))
      assert.same({ agrees = false, lag = 39, head = ids[40] }, x:report_state("moon", "main", ids[1]))
      assert.same({ agrees = false, head = ids[40] }, x:report_state("mars", "main", "never heard of"))
      local values = parse(x:text())
      local function of(metric, system) return values[('iu_%s{system="%s",branch="main"}'):format(metric, system)] end
      assert.same({ 1, 0, 0 }, { of("state_agreement", "sun"), of("state_agreement", "moon"), of("state_agreement", "mars") })
      assert.same({ 0, 39 }, { of("state_lag_versions", "sun"), of("state_lag_versions", "moon") })
      assert.is_nil(of("state_lag_versions", "mars"))
      assert.is_true(of("state_report_age_seconds", "sun") >= 0)
      -- Our head moves: who agreed is behind, and who has the state that came back agrees again.
      assert(m:commit_version({ n = 41 }))
      local back = assert(m:commit_version({ n = 40 }))
      values = parse(x:text())
      assert.same({ 2, 0, 41 }, { of("state_lag_versions", "sun"), of("state_lag_versions", "hash"), of("state_lag_versions", "moon") })
      assert.same({ agrees = true, lag = 0, head = back }, x:report_state("sun", nil, back))
      assert.equal(1, x:forget_state("moon"))
      assert.equal(0, x:forget_state("moon"))
      values = parse(x:text())
      assert.is_nil(of("state_agreement", "moon"))
      assert.equal(1, of("state_agreement", "sun"))
    end)

    it("know drafts' heads by either hash, and branches that are not there", function()
      local m = open()
      local live = assert(m.temporal_store:track({ n = 1 }))
      assert(live:commit("one"))
      live.n = 2
      local id = assert(live:commit("two"))
      local version = assert(m.temporal_store:get_version(id))
      assert.is_nil(version.data_hash)
      assert.is_true(m.metrics:report_state("a", nil, version.tree_hash).agrees)
      assert.is_true(m.metrics:report_state("b", nil, iu.json.hash({ n = 2 })).agrees)
      assert.same({ agrees = false }, m.metrics:report_state("c", "no such branch", id))
    end)

    it("are of at most so many systems, and look back so far", function()
      local m = open { max_systems = 2, lag_max = 5 }
      local first = assert(m:commit_version({ n = 1 }))
      for i = 2, 10 do assert(m:commit_version({ n = i })) end
      assert.is_nil(m.metrics:report_state("a", nil, first).lag)
      assert(m.metrics:report_state("b", nil, first))
      support.refused("OverloadedError", nil, select(2, m.metrics:report_state("c", nil, first)), "max_systems")
      support.refused("ValidationError", nil, select(2, m.metrics:report_state("", nil, first)), "system")
      support.raises_here(function() m.metrics:report_state("a", nil, nil) end, "version: string expected")
    end)
  end)

  describe("are told", function()
    it("to Prometheus, over HTTP on loopback", function()
      local m = open()
      assert(m:create_entity("T"))
      local port = m.metrics:port()
      local answer = assert(get(port, "/metrics"))
      assert.same({ 200, "text/plain; version=0.0.4; charset=utf-8" }, { answer.status, answer.content_type })
      local values = parse(answer.body)
      assert.equal(1, values['iu_method_calls_total{method="create_entity"}'])
      assert.equal(200, assert(get(port, "/metrics?x=y")).status)
      answer = assert(get(port, "/"))
      assert.equal(404, answer.status)
      assert.is_truthy(answer.body:find("/metrics", 1, true))
      local bound = io.popen(("cat /proc/net/tcp | awk '$4 == \"0A\"' | grep -i ':%04X 00000000' | awk '{ print $2 }'"):format(port))
      assert.equal(("0100007F:%04X"):format(port), bound:read("l"))
      bound:close()
      support.close(m)
      local none, err = get(port, "/metrics")
      assert.is_nil(none)
      assert.equal("ConnectionError", err.kind)
    end)

    it("to the log, what changed", function()
      local lines = {}
      local previous = iu.log.set_sink(function(level, message, source)
        if source == "metrics" and level == "info" and message:find("iu_", 1, true) then lines[#lines + 1] = message end
      end)
      local m = open { log_interval_ms = 10, endpoint = false }
      assert.is_nil(m.metrics:port())
      local jobs = assert(m.metrics:counter("jobs_total"))
      support.wait_until(function() return #lines > 0 end)
      assert(assert(m.metrics:gauge("unknown")):set(0 / 0))
      jobs:add(17)
      support.wait_until(function() return lines[#lines]:find("jobs_total=17 unknown=NaN", 1, true) end)
      local at = #lines
      support.wait_until(function() return #lines > at + 2 end)
      assert.is_nil(lines[#lines]:find("jobs_total", 1, true))
      assert.is_nil(lines[#lines]:find("unknown", 1, true))
      support.close(m)
      iu.log.set_sink(previous)
      at = #lines
      iu.sleep(0.03)
      assert.equal(at, #lines)
    end)

    it("nowhere else unless it is said, and a port that is taken is no reason not to run", function()
      local m = support.open { log_level = "off", features = { enable_metrics = true }, plugins = { metrics = { address = "0.0.0.0", port = 0 } } }
      assert.is_nil(m.metrics:port())
      local ok, why = m.metrics:health()
      assert.is_nil(ok)
      assert.is_truthy(why:find("loopback", 1, true))
      local first = open()
      local second = open({ port = first.metrics:port() }, nil, { log_level = "off" })
      assert.is_truthy(select(2, second.metrics:health()):find("in use", 1, true))
      assert(second:create_entity("T"))
      assert.equal(1, parse(second.metrics:text())['iu_method_calls_total{method="create_entity"}'])
    end)
  end)

  it("are on with features.enable_metrics, named or not, and only then", function()
    local off = open(nil, { enable_metrics = false })
    assert(off:create_entity("T"))
    assert.is_nil(off.metrics:port())
    assert(off.metrics:counter("mine_total")):add()
    assert.same({ mine_total = 1 }, (parse(off.metrics:text())))
    assert.is_nil(support.open():plugin("metrics"))
    local named = false
    for _, row in ipairs(iu.plugins { features = { enable_metrics = true } }) do named = named or row.name == "metrics" end
    assert.is_true(named)
  end)

  it("keep no manager that nobody holds", function()
    if support.on_server then return end
    local function port_of_one()
      local m = assert(iu.open("memory:", { features = { enable_metrics = true }, plugins = { metrics = { port = 0 } } }))
      assert(m:create_entity("T"))
      return m.metrics:port()
    end
    local port = port_of_one()
    for _ = 1, 4 do
      collectgarbage()
      iu.step(1)
    end
    assert.is_nil((get(port, "/metrics")))
  end)

  it("stop: no meter, no hook, no listener is left", function()
    local m = open()
    local x = m.metrics
    local port = x:port()
    x:stop()
    assert.is_nil((get(port, "/metrics")))
    support.raises_here(function() x:counter("c") end, "metrics is closed")
    assert.is_nil((x:health()))
    local heard
    assert(m.event_bus:register_handler("E", function(message) heard = message.type end))
    assert(m:publish_event("E"))
    support.wait_until(function() return heard == "E" end)
    local again = assert(m.hooks.meter("create_entity", 1, os.clock, function() end), "a meter was left")
    again:remove()
  end)

  it("are refused with a configuration that makes no sense", function()
    for key, value in pairs { port = 70000, path = "metrics", sample_every = -1, methods = { "creat_entity" }, lag_max = 0 } do
      local m = open({ [key] = value, port = key == "port" and value or 0 }, nil, { log_level = "off" })
      support.refused("PluginError", nil, select(2, m:plugin("metrics")), key)
    end
  end)
end)
