-- init.lua: the plugin `testing`. `iu.testing()` gives its kit to test suites, with no universe open; a universe that runs the plugin has the same kit as
-- `manager.testing`. One per Lua state, like the clock and the ids that it takes into a test's hands.

local iu = require "inner_universe"

local plugin = ...
local failures = plugin.load "failures"
local make_fixture = plugin.load "fixture"
local make_mock = plugin.load "mock"
local shape = plugin.load "shape"
local values = plugin.load "values"

local M = {}

local CALLS_MAX = 100000
local MOCK_OPTIONS = { plugins = "table", calls_max = "integer" }

--- What iu.testing() answers. seams: what the library lends it (lua/inner_universe/testing.lua).
function M.kit(seams)
  local check = seams.check
  local kit = {}
  local fixtures, hooks, clock = {}, {}, nil
  local plain -- the shape of a manager without more plugins: looked at once

  --- Stands for any value, nil too.
  kit.any = values.matcher("any", function() return true end)

  --- Stands for values of a type: "string", "integer", ...; what math.type and type say.
  function kit.is(type_name)
    check.type(type_name, "string", 1, "is", "type")
    return values.matcher("a " .. type_name, function(v) return type(v) == type_name or math.type(v) == type_name end)
  end

  --- Stands for tables that have at least these fields, at every depth.
  function kit.like(part)
    check.type(part, "table", 1, "like", "part")
    return values.matcher("like " .. values.shown(part), function(value) return type(value) == "table" and values.same(part, value, true) end)
  end

  --- Stands for values that fn says true about.
  function kit.match(fn)
    check.type(fn, "callable", 1, "match", "fn")
    return values.matcher("a match", function(value) return fn(value) and true or false end)
  end

  --- A manager that answers what it is told to (mock.lua). options: plugins, as in a configuration, whose methods it shall have, too; calls_max [100000].
  ---@param options? { plugins?: table, calls_max?: integer }
  ---@return table? mock
  ---@return inner_universe.Error? err
  function kit.mock(options)
    check.optional(options, "table", 1, "mock", "options")
    options = options or {}
    local ok, err = check.options("mock", options, MOCK_OPTIONS)
    if not ok then return nil, err end
    local groups = not options.plugins and plain
    if not groups then
      groups, err = shape.of(options.plugins)
      if not groups then return nil, err end
      if not options.plugins then plain = groups end
    end
    return make_mock(seams, groups, options.calls_max or CALLS_MAX)
  end

  --- A manager on a universe in memory. spec: entities and relations as queries answer them (ids are made where there are none), events { type, data, source },
  --- states, committed one after the other, and config.
  ---@param spec? { entities?: table[], relations?: table[], events?: table[], states?: table[], config?: table }
  ---@return inner_universe.Manager? manager
  ---@return inner_universe.Error? err
  function kit.fixture(spec)
    check.optional(spec, "table", 1, "fixture", "spec")
    local manager, err = make_fixture(seams, spec or {})
    if not manager then return nil, err end
    fixtures[#fixtures + 1] = manager
    return manager
  end

  --- Lets a method of a real manager fail, named as its hooks have it ("create_entity", "event_bus.publish"): it is not run then. A handle: count(), cancel().
  ---@param manager inner_universe.Manager
  ---@param method string
  ---@param kind string
  ---@param options? { after?: integer, times?: integer, message?: string, code?: string, retryable?: boolean, details?: table }
  ---@return { count: fun(): integer, cancel: fun() }? handle
  ---@return inner_universe.Error? err
  function kit.fail(manager, method, kind, options)
    check.type(manager, "table", 1, "fail", "manager")
    check.type(method, "string", 2, "fail", "method")
    check.type(kind, "string", 3, "fail", "kind")
    check.optional(options, "table", 4, "fail", "options")
    local failure, err = failures.new(seams, kind, options)
    if not failure then return nil, err end
    local hook = manager.hooks.around(method, function(_, next)
      local struck = failure.strike()
      if struck then return nil, struck end
      return next()
    end)
    hooks[#hooks + 1] = hook
    return { count = failure.count, cancel = function() hook:remove() end }
  end

  --- Takes the time into the test's hands: iu.now, iu.sleep, timeouts and the time of transactions follow the clock. clock:advance(seconds), clock:now(),
  --- clock:restore(). options: auto [true]: the time goes on by itself to what is due next when there is nothing else to do; now: microseconds [2024].
  ---@param options? { auto?: boolean, now?: integer }
  ---@return inner_universe.FakeClock? clock
  ---@return inner_universe.Error? err
  function kit.fake_clock(options)
    check.optional(options, "table", 1, "fake_clock", "options")
    local made, err = seams.fake_clock(options)
    if not made then return nil, err end
    clock = made
    return made
  end

  --- Ids (iu.uuid) follow from the seed from now on; nil: they are random again.
  ---@param seed? integer
  function kit.seed(seed)
    check.optional(seed, "integer", 1, "seed", "seed")
    seams.seed(seed)
  end

  --- After each test: fixtures are closed, failures end, the real time and random ids come back. true, or nil, err: of the first fixture that did not close.
  ---@return true? ok
  ---@return inner_universe.Error? err
  function kit.clean()
    local ok, err = true, nil
    for _, hook in ipairs(hooks) do hook:remove() end
    for _, manager in ipairs(fixtures) do
      local closed, why = manager:shutdown()
      if not closed then ok, err = nil, err or why end
    end
    fixtures, hooks = {}, {}
    if clock then clock:restore() end
    clock = nil
    seams.seed(nil)
    return ok, err
  end

  return kit
end

function M.start(ctx)
  local kit, err = iu.testing()
  if not kit then return nil, err end
  local object = {}
  for name, value in pairs(kit) do object[name] = value end
  function object.mock(options)
    ctx.check.optional(options, "table", 1, "mock", "options")
    local with = { calls_max = ctx.config.calls_max }
    for key, value in pairs(options or {}) do with[key] = value end
    return kit.mock(with)
  end
  function object:stop() end -- luacheck: ignore 212
  function object:health() return true end -- luacheck: ignore 212
  return object
end

return M
