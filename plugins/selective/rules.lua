-- rules.lua: what the rules of a configuration mean, checked once, and which of them decides about an entity or an event.
--
-- A rule: { name?, type | event, tag?, path?, operator?, value?, action, rate?, otherwise? }. All its conditions must hold; the first rule that fits decides.
-- `type` and `event` are a type, or the beginning of types with a `*` behind it. Paths are compared as a query's filters are.

local iu = require "inner_universe"

local rules = {}

local KEYS = {
  name = "string", type = "string", event = "string", tag = "string", path = "string", operator = "string", value = "any", action = "string", rate = "any",
  otherwise = "string",
}
local ACTIONS = { persist = true, memory = true, sample = true, drop = true }
local RULES_MAX = 1000
local BITS = 52 -- of a hash that decide, as an exact float

local function invalid(message, ...)
  return nil, iu.errors.new("ValidationError", message:format(...))
end

local function pattern_of(text)
  local beginning = text:match("^(.*)%*$")
  if beginning then
    return function(name) return name:sub(1, #beginning) == beginning end
  end
  return function(name) return name == text end
end

local function one_of(names)
  local list = {}
  for name in pairs(names) do list[#list + 1] = name end
  table.sort(list)
  return table.concat(list, ", ")
end

local function check_action(rule, where)
  local action, otherwise = rule.action, rule.otherwise
  if not ACTIONS[action] then return invalid("%s.action: one of %s expected, got %s", where, one_of(ACTIONS), tostring(action)) end
  if action ~= "sample" then
    if rule.rate ~= nil or otherwise ~= nil then return invalid("%s: rate and otherwise belong to the action sample", where) end
  else
    local rate = rule.rate
    if type(rate) ~= "number" or not (rate >= 0 and rate <= 1) then return invalid("%s.rate: a number from 0 to 1 expected, got %s", where, tostring(rate)) end
    if otherwise ~= nil and otherwise ~= "memory" and otherwise ~= "drop" then
      return invalid("%s.otherwise: memory or drop expected, got %s", where, otherwise)
    end
  end
  if not rule.event then return true end
  if action == "memory" or otherwise == "memory" then return invalid("%s: an event is persisted, or dropped: it is in memory nowhere", where) end
  return true
end

local function check_conditions(rule, where)
  if rule.type and rule.event then return invalid("%s: type or event expected, got both", where) end
  for _, key in ipairs { "type", "event", "tag", "path" } do
    if rule[key] == "" then return invalid("%s.%s: it is empty", where, key) end
    if key ~= "type" and key ~= "event" and rule.event and rule[key] then return invalid("%s: events have no %s", where, key) end
  end
  if rule.path == nil then
    if rule.operator ~= nil or rule.value ~= nil then return invalid("%s: operator and value belong to a path", where) end
  elseif rule.value == nil then
    return invalid("%s.value: a value expected (iu.null for null), got nil", where)
  end
  return true
end

---@param given table
---@param env { check: table, matches: fun(row: table, filters: table[]): boolean?, inner_universe.Error? } matches: whether a row of `entity` fits
---@return table? compiled
---@return inner_universe.Error? err
local function compile(given, number, env)
  local where = ("rules[%d]"):format(number)
  if type(given) ~= "table" then return invalid("%s: a table expected, got %s", where, type(given)) end
  local plain = {}
  for key, value in pairs(given) do plain[key] = value end
  local ok, err = env.check.options("selective", plain, KEYS, where)
  if ok then ok, err = check_conditions(plain, where) end
  if ok then ok, err = check_action(plain, where) end
  if not ok then return nil, err end
  local rule = {
    name = plain.name or ("rule %d"):format(number), is_event = plain.event ~= nil, tag = plain.tag, action = plain.action, rate = plain.rate,
    otherwise = plain.otherwise or (plain.event and "drop" or "memory"),
  }
  if plain.type or plain.event then rule.fits_type = pattern_of(plain.type or plain.event) end
  if plain.path then
    rule.filters = { { field = plain.path, operator = plain.operator or "Equals", value = plain.value } }
    ok, err = env.matches({ id = "", entity_type = "", created_at = 0, updated_at = 0, metadata = { tags = {}, properties = "{}" } }, rule.filters)
    if ok == nil then return invalid("%s: %s", where, err.message) end
  end
  return rule
end

--- The rules of a list, ready to decide; nil, ValidationError naming the rule and the key.
---@param list table[]
---@param env table
function rules.compile(list, env)
  local count, compiled, names = #list, {}, {}
  for key in pairs(list) do
    if math.type(key) ~= "integer" or key < 1 or key > count then return invalid("rules: an array expected, found the key %s", tostring(key)) end
  end
  if count > RULES_MAX then return invalid("rules: at most %d expected, got %d", RULES_MAX, count) end
  for i = 1, count do
    local rule, err = compile(list[i], i, env)
    if not rule then return nil, err end
    if names[rule.name] then return invalid("rules[%d].name: '%s' is the name of another one", i, rule.name) end
    names[rule.name] = true
    compiled[i] = rule
  end
  return compiled
end

local function has_tag(tags, tag)
  if type(tags) ~= "table" then return false end
  for _, each in ipairs(tags) do
    if each == tag then return true end
  end
  return false
end

-- The share of ids that are sampled is the rate, and an id is always sampled or never: by its SHA-256, with the seed before it.
local function is_sampled(seed, id, rate)
  local part = tonumber(iu.json.hash(seed .. "\n" .. id):sub(1, BITS // 4), 16)
  return part < rate * 2.0 ^ BITS
end

-- Events have no id before they are written: of so many that fit, evenly, the rate's share is taken.
local function is_next(rule)
  local seen = rule.seen or 0
  rule.seen = seen + 1
  return math.floor((seen + 1) * rule.rate + 1e-9) > math.floor(seen * rule.rate + 1e-9) -- 10 * 0.1 may be a little less than 1
end

--- Which of the rules decides, and what it says: "persist", "memory" or "drop". nil and an err where a path could not be looked at.
---@param list table[]
---@param what { is_event: boolean, type: string, id?: string, tags?: any, row: fun(): table?, inner_universe.Error? } row: as it would be stored
---@return "persist"|"memory"|"drop"|nil
---@return table|inner_universe.Error|nil rule nil: none fits
function rules.decide(list, what, seed, matches)
  for _, rule in ipairs(list) do
    local fits = rule.is_event == what.is_event and (not rule.fits_type or rule.fits_type(what.type)) and (not rule.tag or has_tag(what.tags, rule.tag))
    if fits and rule.filters then
      local row, err = what.row()
      if not row then return nil, err end
      fits, err = matches(row, rule.filters)
      if fits == nil then return nil, err end
    end
    if fits then
      if rule.action ~= "sample" then return rule.action, rule end
      local taken
      if rule.is_event then taken = is_next(rule) else taken = is_sampled(seed, what.id, rule.rate) end
      return taken and "persist" or rule.otherwise, rule
    end
  end
  return "persist"
end

return rules
