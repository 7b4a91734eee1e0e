-- Modules that are not NERV's, on the real server: values of every column type both ways and to the bit, on every protocol that the server has; names
-- that only servers take; refusals; private tables, row level security, schedules; and, where the server has them, procedures, views, event tables, submodules.

local iu = require "inner_universe"
local spacetimedb = require "spacetimedb"
local support = require "support"
local types_module = require "types_module"

local array, null, wide = iu.array, iu.null, iu.wide
local there = spacetimedb.address and types_module.possible()
local HEX = ("0123456789abcdef"):rep(4)
local VEC = { x = 1.5, y = -2.25 }
local SHAPES = array {
  "Empty", { tag = "Circle", value = -0.0 }, { tag = "At", value = VEC }, { tag = "Many", value = array { VEC, VEC } }, { tag = "Many", value = array {} },
  { tag = "Maybe", value = "" }, { tag = "Maybe", value = null },
}
local MANY = array {}
for i = 1, 20000 do MANY[i] = i * 7 end

local VALUES = {
  bool = { true, false }, i8 = { -128, 127, 0 }, u8 = { 0, 255 }, i16 = { -32768, 32767 }, u16 = { 0, 65535 }, i32 = { -2147483648, 2147483647 },
  u32 = { 0, 4294967295 }, i64 = { math.mininteger, math.maxinteger, 0, -1 },
  u64 = { 0, math.maxinteger, wide "18446744073709551615", wide "9223372036854775808" },
  i128 = { wide "-170141183460469231731687303715884105728", wide "170141183460469231731687303715884105727", -1, 0 },
  u128 = { 0, wide "340282366920938463463374607431768211455" },
  i256 = { wide("-57896044618658097711785492504343953926634992332820282019728792003956564819968"),
    wide("57896044618658097711785492504343953926634992332820282019728792003956564819967"), -1, 0 },
  u256 = { 0, wide("57896044618658097711785492504343953926634992332820282019728792003956564819967"), 9 },
  f32 = { 0.0, -0.0, 1.5, -2.5, 3.4028234663852886e38, 1.401298464324817e-45, math.huge, -math.huge, 0 / 0 },
  f64 = { 0.0, -0.0, 0.1, 1.7976931348623157e308, 5e-324, 1e22, math.huge, -math.huge, 0 / 0 },
  string = { "", "a", "Grüße \u{1F30D} ' \" \\ \n \0 x", ("long "):rep(5000), "it's" }, bytes = { "", "\0\1\255", ("\xfe"):rep(70000), "0a" },
  identity = { HEX, ("0"):rep(64), ("f"):rep(64) }, connection_id = { HEX:sub(1, 32), ("f"):rep(32), ("0"):rep(32) },
  timestamp = { 0, 1700000000123456, -1, 253402300799999999 }, duration = { 0, -5, math.maxinteger, math.mininteger }, color = { "Red", "Green", "Blue" },
  shape = SHAPES, vec = { VEC }, schedule_at = { { tag = "Interval", value = 5 }, { tag = "Time", value = 1700000000123456 } }, unit = { array {} },
  deep = { { name = "déjà", at = VEC, shapes = SHAPES, who = HEX, grid = array { array { 1, 2 }, array {}, array { -3 } }, unit = array {} } },
  list_i64 = { array {}, MANY, array { math.mininteger } }, list_string = { array {}, array { "" }, array { "a", "ü" } },
  list_bytes = { array { "", "\0", "abc" }, array {} }, list_unit = { array {}, array { array {}, array {} } },
  opt_u8 = { null, 0, 255 }, opt_string = { null, "", "x" }, opt_vec = { null, VEC }, opt_f64 = { null, 0 / 0, -0.0 },
  opt_list = { null, array {}, array { "a", null, "b" } }, opt_identity = { null, HEX },
  uuid = { "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff" }, opt_uuid = { null, "0190b6e0-1234-7abc-8def-0123456789ab" },
  result = { { tag = "ok", value = 5 }, { tag = "err", value = "no" } },
}

-- Equal to the bit of a float; null is nil.
local function same(a, b)
  if a == null then a = nil end
  if b == null then b = nil end
  if type(a) ~= type(b) or math.type(a) ~= math.type(b) then return false end
  if type(a) == "number" then return (a == b and 1 / a == 1 / b) or (a ~= a and b ~= b) end
  if type(a) ~= "table" then return a == b end
  for key in pairs(a) do
    if not same(a[key], b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

local function no_number(v) return type(v) == "number" and v - v ~= 0 end

-- What the server at hand speaks decides which cases there are: those of 2.x are not skipped on an older one, they are none.
local function is_newer()
  local http = assert(iu.server((spacetimedb.address:gsub("^ws", "http"))))
  return tonumber(assert(http:health()).version:match("^%d+")) >= 2
end

describe("a module of all types", function()
  local targets, tokens, newer = {}, {}, there and is_newer()

  setup(function()
    if not there then return end
    local folder = support.folder()
    for _, version in ipairs(newer and { 9, 10 } or { 9 }) do
      local name = spacetimedb.name()
      tokens[version] = assert(spacetimedb.publish(name, types_module.build(folder, version)))
      targets[version] = ("%s/%s"):format(spacetimedb.address, name)
    end
  end)
  after_each(support.clean)

  local function open(version, protocol, options)
    options = options or {}
    options.protocol, options.token = protocol, options.token or tokens[version]
    return assert(iu.connect(targets[version], options))
  end

  local function on_each(what, test, only_new)
    for _, case in ipairs { { 9, "v1" }, { 9, "v1.json" }, { 9, "v2" }, { 9, "v3" }, { 10, "v1" }, { 10, "v1.json" }, { 10, "v2" }, { 10, "v3" } } do
      local version, protocol = table.unpack(case)
      local spoken = newer or version == 9 and not protocol:find("^v[23]")
      if spoken and (not only_new or version == 10) then
        it(("%s: definition V%d, %s"):format(what, version, protocol), function()
          if not there then return pending("no SpacetimeDB server here, or no clang") end
          test(version, protocol)
        end)
      end
    end
  end

  local next_key = 0
  local function key()
    next_key = next_key + 1
    return next_key
  end

  local wait_until = support.wait_until

  local function round_trip(conn, version, name, v, other)
    local keyed, plain, heard, k = conn.tables["t_" .. name], conn.tables["l_" .. name], {}, key()
    local handles = {
      keyed:on_insert(function(row) heard.insert = row.v end), keyed:on_update(function(new, old) heard.new, heard.old = new.v, old.v end),
      plain:on_insert(function(row) heard.plain = row.v end), plain:on_delete(function(row) heard.gone = row.k == k and row.v end),
    }
    assert(conn:call("put_" .. name, k, v))
    assert.is_true(same(v, heard.insert), "heard")
    assert.is_true(same(v, keyed:get(k).v), "row")
    local rows = assert(conn:query(("SELECT * FROM t_%s WHERE k = %d"):format(name, k)))
    assert.is_true(#rows == 1 and same(v, rows[1].v), "query")
    assert(conn:call("set_" .. name, k, other))
    assert.is_true(same(other, keyed:get(k).v), "set")
    if not same(v, other) then assert.is_true(same(v, heard.old) and same(other, heard.new), "update") end
    assert(conn:call("add_" .. name, k, v))
    assert.is_true(same(v, heard.plain), "plain")
    assert(conn:call("cut_" .. name, k, v))
    assert.is_true(same(v, heard.gone), "cut")
    if version == 10 then
      local answer, err = conn:procedure("echo_" .. name, v)
      assert.is_nil(err)
      assert.is_true(same(v, answer), "procedure")
    end
    for _, handle in ipairs(handles) do handle:cancel() end
  end

  on_each("values come back as they went in", function(version, protocol)
    local conn <close> = open(version, protocol, { subscribe = "all", compression = protocol == "v3" and "brotli" or protocol == "v2" and "gzip" or "none" })
    for name, values in pairs(VALUES) do
      local fit = {}
      for _, v in ipairs(values) do
        if protocol ~= "v1.json" or not no_number(v) then fit[#fit + 1] = v end
      end
      for i, v in ipairs(conn:schema().tables["t_" .. name] and fit or {}) do
        local ok, why = pcall(round_trip, conn, version, name, v, fit[i % #fit + 1])
        assert.is_true(ok, ("%s %d: %s"):format(name, i, tostring(why)))
      end
    end
  end)

  on_each("a selection here and at the server finds the same rows", function(version, protocol)
    local conn <close> = open(version, protocol, { subscribe = "all" })
    local bare <close> = open(version, protocol)
    for name, values in pairs(VALUES) do
      local known = conn:schema().tables["t_" .. name]
      for _, v in ipairs(known and values or {}) do
        if protocol ~= "v1.json" or not no_number(v) then assert(conn:call("put_" .. name, key(), v)) end
        for _, operator in ipairs { "Equals", "NotEquals", "GreaterThan", "LessOrEqual", "In" } do
          local spec = { filters = { { field = "v", operator = operator, value = operator == "In" and array { v } or v } } }
          local held, why = conn:select("t_" .. name, spec)
          local asked, err = bare:select("t_" .. name, spec)
          local what = ("%s %s: %s"):format(name, operator, tostring(why or err))
          assert.equal(held == nil, asked == nil, what)
          if held then assert.equal(#held, #asked, what) end
        end
      end
    end
  end)

  on_each("columns named as NERV's are plain text", function(version, protocol)
    local conn <close> = open(version, protocol, { subscribe = "all" })
    local bare <close> = open(version, protocol)
    local texts = { "5", "plain", "", "{}", '{ "a" : 1 }', "null", '"q"' }
    for i, text in ipairs(texts) do assert(conn:call("put_texts", i + 100 * version, text, text, text, text, text, text, { text })) end
    for _, text in ipairs(texts) do
      for _, column in ipairs { "value", "data", "metadata", "properties", "description", "name" } do
        for _, operator in ipairs { "Equals", "In", "StartsWith" } do
          local spec = { filters = { { field = column, operator = operator, value = operator == "In" and array { text } or text } } }
          local expected = {}
          for row in conn.tables.texts:iter() do
            if operator == "StartsWith" and row[column]:sub(1, #text) == text or row[column] == text then expected[row.id] = true end
          end
          for _, from in ipairs { conn, bare } do
            local found = {}
            for _, row in ipairs(assert(from:select("texts", spec))) do found[row.id] = true end
            assert.same(expected, found, column .. " " .. operator .. " " .. text)
          end
        end
      end
    end
    assert.is_true(#assert(bare:select("texts", { filters = { { field = "data.a", operator = "Equals", value = 1 } } })) >= 1)
  end)

  on_each("names are what the server takes", function(version, protocol)
    local conn <close> = open(version, protocol, { subscribe = "all" })
    for i, name in ipairs { "select", "Grüße", "UPPER", "Upper", "sqlite_x" } do
      local k = key()
      assert(conn:call("strange_" .. i, k, "ß", "big", -i, 7))
      assert.same({ from = k, ["größe"] = "ß", ID = "big", id = -i, _row = 7 }, conn.tables[name]:get(k))
      local rows = assert(conn:query(('SELECT * FROM "%s" WHERE "from" = %d AND "größe" = \'ß\''):format(name, k)))
      assert.equal(1, #rows)
      assert.is_true(#conn.tables[name]:find("pair", { "big", -i }) >= 1)
    end
    assert.equal(0, conn.tables.nothing:count())
  end)

  on_each("refusals and traps are told, and the connection goes on", function(version, protocol)
    local conn <close> = open(version, protocol)
    for _, words in ipairs { "no", "NOT_FOUND: none", "ß: \u{1F30D}" } do
      local ok, err = conn:call("refuse", words)
      assert.is_nil(ok)
      assert.equal(words, err.message)
    end
    local ok, err = conn:call("trap")
    assert.is_nil(ok)
    assert.matches("fatal error", err.message)
    ok, err = conn:call("put_u8", 1, 256)
    assert.is_nil(ok)
    assert.equal("v: expected U8, got 256 (put_u8(k: U32, v: U8))", err.message)
    local leaf = { value = 2, kids = array {} }
    assert(conn:call("take_tree", { value = 1, kids = array { leaf, { value = 3, kids = array { leaf } } } }))
  end)

  on_each("schedules, private tables and rules are the server's", function(version, protocol)
    local conn <close> = open(version, protocol, { subscribe = "all" })
    local other <close> = open(version, protocol, { subscribe = "all", token = spacetimedb.identity().token })
    local mark, ticks = iu.uuid(), 0
    conn.tables.ticked:on_insert(function(row) if row.what == mark then ticks = ticks + 1 end end)
    assert(conn:call("put_timer", 0, { tag = "Time", value = iu.now() + 50000 }, mark))
    assert(conn:call("put_secret", key(), mark))
    assert(conn:call("put_ruled", other:identity(), mark))
    assert(conn:call("put_ruled", HEX, mark))
    assert(conn:subscribe("SELECT * FROM secret"):wait())
    assert.is_true(conn.tables.secret:count() > 0)
    local rows, err = other:query("SELECT * FROM secret")
    assert.is_nil(rows)
    assert.equal("ValidationError", err.kind)
    wait_until(function() return ticks == 1 and other.tables.ruled:count() > 0 end)
    for row in other.tables.ruled:iter() do assert.equal(other:identity(), row.owner) end
  end)

  on_each("what a submodule has is behind its namespace", function(version, protocol)
    local conn <close> = open(version, protocol, { subscribe = "all" })
    local bare <close> = open(version, protocol)
    local k, kept, heard = key(), conn.tables["lib.kept"], nil
    kept:on_insert(function(row) heard = row end)
    assert(conn:call("lib.keep", k, { x = 1.5 }))
    assert.same({ k = k, at = { x = 1.5 } }, heard)
    assert.same(heard, kept:get(k))
    assert.same({ heard }, assert(bare:query("SELECT * FROM lib.kept WHERE k = " .. k)))
    assert.same({ heard }, assert(bare:select("lib.kept", { filters = { { field = "k", operator = "Equals", value = k } } })))
    assert.same(heard, assert(bare:get("lib.kept", k)))
    assert.same({ { n = kept:count() } }, assert(bare:query('SELECT COUNT(*) AS n FROM "lib.kept"')))
    assert.equal(-2.5, assert(conn:procedure("lib.echo_x", -2.5)))
    local ok, err = conn:call("lib.keep", k, 5)
    assert.is_nil(ok)
    assert.matches("lib.keep%(k: U32, at: lib.Spot%)", err.message)
    ok, err = conn:call("lib.keep", k, { x = 2.5 })
    assert.is_nil(ok)
    assert.equal("errno 12", err.message)
  end, true)

  on_each("views and event tables", function(version, protocol)
    local conn <close> = open(version, protocol, { subscribe = "all" })
    local k, mark, events = key(), iu.uuid(), 0
    assert.is_nil(conn:schema().tables.of_key)
    assert.is_true(conn:schema().tables.shout.event)
    assert.is_nil(conn:schema().tables.strings.event)
    assert(conn:subscribe("SELECT * FROM strings"):wait())
    assert(conn:call("put_string", k, mark))
    wait_until(function()
      for row in conn.tables.strings:iter() do
        if row.v == mark then return true end
      end
    end)
    conn.tables.shout:on_insert(function(row) if row.text == mark then events = events + 1 end end)
    assert(conn:call("shoutOut", k, mark))
    assert.equal(0, conn.tables.shout:count())
    if protocol:find("^v1") then
      assert.equal(0, events) -- v1 cannot subscribe them
    else
      wait_until(function() return events == 1 end)
    end
    local value, err = conn:procedure("proc_trap")
    assert.is_nil(value)
    assert.matches("fatal error", err.message)
  end, true)
end)
