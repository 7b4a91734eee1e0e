-- What row history forgets by age: row_history.lua of the persistence manager on a real universe, with a clock that is days ahead.

local iu = require "inner_universe"

local DAY = 24 * 3600 * 1000000

describe("row history of another day", function()
  local conn

  before_each(function()
    conn = assert(iu.connect("memory:"))
    assert(conn:call("update_config", "enable_row_history", "entity", ""))
    assert(conn:call("create_entity", "N", { tags = {}, properties = "{}" }, "a"))
  end)

  after_each(function() conn:close() end)

  -- Opens the universe as its owner would in so many days.
  local function open_in(days, settings)
    local ahead = setmetatable({ now = function() return iu.now() + days * DAY end }, { __index = iu })
    local environment = setmetatable({ require = function() return ahead end }, { __index = _G })
    local row_history = assert(loadfile("plugins/persistence_manager/row_history.lua", "t", environment))()
    local all = { backend = "embedded", history = { "entity" }, history_keep_days = 30, history_max_rows = 0, history_max_bytes = 0 }
    for key, value in pairs(settings or {}) do all[key] = value ~= iu.null and value or nil end
    local ctx = {
      settings = all, conn = conn, is_closed = function() return false end, can_wait = function() return false end,
      log = { warn = function(format, ...) error(format:format(...)) end },
    }
    assert(row_history.apply(ctx, conn))
    return row_history.status(ctx, conn)
  end

  local function update(times)
    for _ = 1, times do assert(conn:call("update_entity", "a", { tags = {}, properties = "{}" })) end
    local last = iu.now()
    while iu.now() <= last do end
    assert(conn:call("update_entity", "a", { tags = { "last" }, properties = "{}" }))
  end

  it("is kept for as long as the configuration says", function()
    update(20)
    assert.equal(22, open_in(0).count)
    assert.equal(22, open_in(29).count)
    local left = open_in(31)
    assert.equal(1, left.count) -- the youngest stays: it tells from when on all is known
    assert.equal(conn:get("entity", "a").updated_at, left.oldest)
    assert.equal(1, open_in(400).count)
  end)

  it("is kept without end where 0 says so", function()
    update(20)
    assert.equal(22, open_in(4000, { history_keep_days = 0 }).count)
  end)

  it("goes slice by slice until it is within its limits", function()
    update(6500)
    assert.equal(5000, open_in(0, { history_max_rows = 5000 }).count)
    assert.equal(1, open_in(31).count)
  end)

  it("is left alone by who does not configure it, and by who only looks", function()
    update(20)
    assert.equal(22, open_in(31, { history = iu.null, history_max_rows = 1 }).count)
    assert.equal(22, open_in(31, { history_max_rows = 1, snapshot = true }).count)
    assert.equal(1, open_in(0, { history_max_rows = 1 }).count)
  end)
end)
