-- mock.lua: a manager that answers what it was told to answer, and remembers what it was asked.
--
-- It has the methods of a real one (shape.lua), for itself and its parts: mock.client, mock.event_bus, ... Each call goes the same way: it is remembered; a
-- failure on demand answers it; else the newest rule that fits; else what the mock does by itself (subscriptions, transactions, opening and closing); else it
-- raises, at the line of the caller: a test that asks for what it has not said is wrong.

local iu = require "inner_universe"

local plugin = ...
local failures = plugin.load "failures"
local values = plugin.load "values"

local CHANGES = {
  entity = "subscribe_entity_changes", relation = "subscribe_relation_changes", state_version = "subscribe_version_changes",
  event_log = "subscribe_event_log_changes",
}
local KINDS = { INSERTED = true, UPDATED = true, DELETED = true }
-- What a mock that was closed still answers, as a manager does.
local LIFE = {
  shutdown = true, status = true, is_initialized = true, plugin = true, ["client.disconnect"] = true, ["client.is_connected"] = true,
  ["client.connection"] = true,
}

-- ---- rules ----

local FIELDS = { code = "string", retryable = "boolean", details = "table", cause = "any" }

local function known_kinds()
  local known = {}
  for _, kind in ipairs(iu.errors.kinds()) do known[kind] = true end
  return known
end

-- What is said of a rule, checked as it is said: a rule that makes no sense would only be found by the call that it serves.
local function rule_methods(seams)
  local check, suggest = seams.check, seams.suggest
  local Rule = {}

  --- It answers these values; tables are copied each time, as a manager's are new each time.
  function Rule:returns(...)
    local answers = table.pack(...)
    self.answer = function() return table.unpack(values.copy(answers), 1, answers.n) end
    return self
  end

  --- It answers nil and an err of that kind. fields: code, retryable, details, cause.
  function Rule:fails(kind, message, fields)
    check.type(kind, "string", 1, "fails", "kind")
    check.optional(message, "string", 2, "fails", "message")
    check.optional(fields, "table", 3, "fails", "fields")
    local known = known_kinds()
    if not known[kind] then check.raise(("fails: kind: unknown kind '%s'%s"):format(kind, suggest(kind, known))) end
    local ok, wrong = check.options("fails", fields, FIELDS)
    if not ok then check.raise(wrong.message) end
    local err = iu.errors.new(kind, message or "on demand of a test", fields)
    self.answer = function() return nil, err end
    return self
  end

  --- It raises.
  function Rule:raises(what)
    self.answer = function() error(what, 0) end
    return self
  end

  --- It answers what fn(...) does, which gets the call's arguments.
  function Rule:calls(fn)
    check.type(fn, "callable", 1, "calls", "fn")
    self.answer = fn
    return self
  end

  --- It serves so many calls, and is used up then.
  function Rule:times(count)
    check.type(count, "integer", 1, "times", "count")
    if count < 1 then check.raise(("times: 1 or more expected, got %d"):format(count)) end
    self.left = count
    return self
  end

  return Rule
end

local function fits(rule, name, arguments)
  if rule.name ~= name or rule.left == 0 or not rule.answer then return false end
  local expected = rule.arguments
  if expected.n == 0 then return true end
  for i = 1, math.max(expected.n, arguments.n) do
    if not values.same(expected[i], arguments[i]) then return false end
  end
  return true
end

-- ---- the mock ----

--- groups: shape.of(); calls_max.
return function(seams, groups, calls_max)
  local check, suggest = seams.check, seams.suggest
  local Rule = rule_methods(seams)
  local rules, log, broken = {}, {}, {}  -- broken: failures on demand, by name
  local handlers, watchers = {}, {}      -- of the event bus, of changes: arrays of { key, fn }
  local sequence = 0
  local mock, parts = {}, {}
  local open = true

  local function known_names()
    local names = {}
    for group, methods in pairs(groups) do
      for method in pairs(methods) do names[group == "" and method or group .. "." .. method] = true end
    end
    return names
  end
  local names = known_names()

  local function check_name(name, level)
    if type(name) == "string" and names[name] then return end
    error(("a manager has no method '%s'%s"):format(tostring(name), suggest(tostring(name), names)), level + 1)
  end

  local function remember(name, arguments)
    if #log >= calls_max then error(("the mock remembers %d calls, and there is one more: %s"):format(calls_max, name), 0) end
    local call = { name = name, args = values.copy(arguments) }
    log[#log + 1] = call
    return call
  end

  local function rule_for(name, arguments)
    for i = #rules, 1, -1 do
      if fits(rules[i], name, arguments) then return rules[i] end
    end
  end

  -- ---- what it does by itself ----

  local function listen(list, key, fn)
    local entry = { key = key, fn = fn }
    list[#list + 1] = entry
    local handle = {}
    function handle:cancel() -- luacheck: ignore 212
      for i, each in ipairs(list) do
        if each == entry then return table.remove(list, i) and true end
      end
      return false
    end
    return handle
  end

  local function run_transaction(fn)
    local results = table.pack(pcall(fn, parts.tx))
    if not results[1] then return nil, iu.errors.from(results[2]) end
    if results.n == 1 then return true end
    return table.unpack(results, 2, results.n)
  end

  local own = {
    initialize = function() return true end, is_initialized = function() return open end, flush = function() return true end,
    shutdown = function() open = false return true end, status = function() return { initialized = open, closed = not open, backend = "mock" } end,
    transaction = run_transaction, ["client.connect"] = function() return true end,
    ["client.disconnect"] = function() open = false return true end, ["client.is_connected"] = function() return open end,
    ["event_bus.subscribe_to_events"] = function() return true end,
    ["event_bus.register_handler"] = function(event_type, fn) return listen(handlers, event_type, fn) end,
    plugin = function(name)
      if name ~= "client" and name ~= "tx" and parts[name] then return parts[name] end
      return nil, iu.errors.new("PluginError", ("no plugin '%s'%s"):format(tostring(name), suggest(tostring(name), parts)))
    end,
  }
  for name, method in pairs(CHANGES) do
    own["client." .. method] = function(fn) return listen(watchers, name, fn) end
  end

  -- ---- calls ----

  local function answered(call, ...)
    call.results = values.copy(table.pack(...))
    return ...
  end

  local function dispatch(name, ...)
    if not open and not LIFE[name] then error(("the manager is closed: %s"):format(name), 3) end
    local arguments = table.pack(...)
    local call = remember(name, arguments)
    local err = broken[name] and broken[name].strike()
    if err then return answered(call, nil, err) end
    local rule = rule_for(name, arguments)
    local answer = rule and rule.answer or own[name]
    if not answer then
      error(("the mock has no answer to %s(%s): mock:when(\"%s\", ...):returns(...)"):format(name, values.list(arguments), name), 3)
    end
    if rule then
      rule.used = rule.used + 1
      if rule.left then rule.left = rule.left - 1 end
    end
    return answered(call, answer(...))
  end

  local function part(group, extra)
    local methods = {}
    for method, arguments in pairs(groups[group]) do
      local name = group == "" and method or group .. "." .. method
      methods[method] = function(_, ...)
        if arguments ~= true then check.arguments(arguments, method, ...) end
        local results = table.pack(dispatch(name, ...))
        return table.unpack(results, 1, results.n)
      end
    end
    for method, fn in pairs(extra or {}) do
      if methods[method] then error(("a manager has a method `%s` of its own: the mock needs another name for it"):format(method)) end
      methods[method] = fn
    end
    local what = group == "" and "a manager" or group
    return setmetatable({}, {
      __name = "inner_universe.mock." .. (group == "" and "manager" or group),
      __index = function(_, key)
        local found = methods[key] or group == "" and key ~= "tx" and parts[key]
        if found then return found end
        error(("%s has no `%s`%s"):format(what, tostring(key), suggest(tostring(key), methods)), 2)
      end,
      __newindex = function(_, key) error(("a mock cannot be set (field '%s'): mock:when(...) says what it answers"):format(tostring(key)), 2) end,
      __close = function() open = false end,
      __tostring = function() return "mock of " .. what end,
    })
  end

  -- ---- what a test says to it ----

  --- What a method shall answer: mock:when("get_entity", "ada"):returns(entity). Without arguments: whatever they are. Names of parts: "client.get_entity",
  --- "event_bus.publish", "tx.create_entity". Of several rules that fit the newest counts.
  function mock:when(name, ...) -- luacheck: ignore 212
    check_name(name, 2)
    local rule = setmetatable({ name = name, arguments = values.copy(table.pack(...)), used = 0 }, {
      __index = function(_, key)
        if Rule[key] then return Rule[key] end
        if key == "answer" or key == "left" then return nil end
        error(("a rule has no `%s`%s"):format(tostring(key), suggest(tostring(key), Rule)), 2)
      end,
    })
    rules[#rules + 1] = rule
    return rule
  end

  --- Lets a method fail: options after [0] calls that go well, times [every one], message, code, retryable, details. A handle: count(), cancel(); or nil, err.
  function mock:fail(name, kind, options) -- luacheck: ignore 212
    check_name(name, 2)
    check.optional(options, "table", 3, "fail", "options")
    local failure, err = failures.new(seams, kind, options)
    if not failure then return nil, err end
    broken[name] = failure
    return {
      count = failure.count,
      cancel = function()
        if broken[name] == failure then broken[name] = nil end
      end,
    }
  end

  --- The calls so far, or those of one method: { name, args = { n = ..., ... }, results = { n = ..., ... } }, the oldest first.
  function mock:calls(name) -- luacheck: ignore 212
    if name ~= nil then check_name(name, 2) end
    local out = {}
    for _, call in ipairs(log) do
      if name == nil or call.name == name then out[#out + 1] = call end
    end
    return out
  end

  --- How many calls of a method there were with these arguments (matchers too); without arguments: all of them.
  function mock:called(name, ...) -- luacheck: ignore 212
    check_name(name, 2)
    local probe, count = { name = name, arguments = table.pack(...), answer = true }, 0
    for _, call in ipairs(log) do
      if fits(probe, call.name, call.args) then count = count + 1 end
    end
    return count
  end

  --- Rules that no call has used: "name(arguments)" each.
  function mock:unused() -- luacheck: ignore 212
    local out = {}
    for _, rule in ipairs(rules) do
      if rule.used == 0 or rule.left and rule.left > 0 then out[#out + 1] = ("%s(%s)"):format(rule.name, values.list(rule.arguments)) end
    end
    return out
  end

  --- Forgets rules, failures and calls; handlers stay.
  function mock:reset() -- luacheck: ignore 212
    rules, log, broken = {}, {}, {}
  end

  local function tell(list, key, ...)
    local now, told = table.move(list, 1, #list, 1, {}), 0
    for _, entry in ipairs(now) do
      if entry.key == key or entry.key == "*" then
        told = told + 1
        entry.fn(...)
      end
    end
    return told
  end

  --- An event comes: handlers that were registered with the event bus hear it, and those who subscribed the event log. How many. What one raises is raised.
  function mock:simulate_event(event_type, data, source) -- luacheck: ignore 212
    check.type(event_type, "string", 1, "simulate_event", "event_type")
    check.optional(source, "string", 3, "simulate_event", "source")
    sequence = sequence + 1
    if data == nil then data = {} end
    local message = {
      id = iu.uuid(), type = event_type, source = source, timestamp = iu.now(), data = values.copy(data), sequence = sequence, actor = ("0"):rep(64),
    }
    local row = {
      event_id = message.id, event_type = event_type, source = source, timestamp = message.timestamp, data = values.copy(data), sequence = sequence,
      actor = message.actor,
    }
    return tell(handlers, event_type, message) + tell(watchers, "event_log", "INSERTED", row)
  end

  --- A row comes, changes or goes: kind "INSERTED", "UPDATED" (old is the row before) or "DELETED". How many heard it.
  function mock:simulate_change(name, kind, row, old) -- luacheck: ignore 212
    check.type(name, "string", 1, "simulate_change", "table")
    check.type(kind, "string", 2, "simulate_change", "kind")
    check.type(row, "table", 3, "simulate_change", "row")
    check.optional(old, "table", 4, "simulate_change", "old")
    if not CHANGES[name] then error(("no table '%s' is subscribed%s"):format(name, suggest(name, CHANGES)), 2) end
    if not KINDS[kind] then error(("no kind '%s'%s"):format(kind, suggest(kind, KINDS)), 2) end
    return tell(watchers, name, kind, values.copy(row), values.copy(old))
  end

  for group in pairs(groups) do
    if group ~= "" then parts[group] = part(group) end
  end
  return part("", mock)
end
