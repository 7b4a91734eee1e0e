-- The dispatcher around methods: every method of a class made here runs its hooks (before, around, after, on_error). A method without hooks
-- costs one more Lua call; the wrapper ends in a tail call, so `error(text, 2)` in a method names the line of the user. With hooks the
-- method is called from this file, and what it raised with this file's position is raised again with the user's.
--
-- A meter counts a method's calls, and looks at one in so many: whether it failed, how long it took. It costs a thirtieth of a hook.
--
-- One registry per universe. Hook lists are copied when they change: a call uses the lists it began with.

local errors = require("inner_universe.errors")
local finalizer = require("inner_universe.finalizer")
local suggest = require("inner_universe.suggest")

local hooks = {}

local HERE = "^" .. debug.getinfo(1, "S").short_src:gsub("%p", "%%%0") .. ":%d+: (.*)$"
local KINDS = { before = true, around = true, after = true, on_error = true }
local FIXED_MAX = 5 -- parameters of a method that is called without varargs

---@class inner_universe.HookCall
---@field target table
---@field method string
---@field args table with n
---@field inner function the method itself; an around hook may put another function(target, ...) in its place, for this call
---@field via? string who called the method, where it was not the user: hooks.run
---@field results? table with n
---@field err? any
---@field raised? boolean

-- A slot's `left` is all that a wrapper looks at: false where there is nothing to do; 0 where hooks run (`active`); else how many calls are left until the
-- meter looks at one. While hooks run the meter keeps that number.
local function change(slot, fn)
  local meter = slot.meter
  if meter and not slot.active then meter.left = slot.left end
  fn()
  meter = slot.meter
  slot.left = slot.active and 0 or meter and meter.left or false
end

---@class inner_universe.HookHandle
local HookHandle = { __name = "inner_universe.HookHandle" }
HookHandle.__index = HookHandle

---@return boolean removed false when it was removed before
function HookHandle:remove()
  if not self.slot then return false end
  local slot, kind = self.slot, self.kind
  self.slot = nil
  local list = {}
  for _, item in ipairs(slot[kind]) do
    if item ~= self then list[#list + 1] = item end
  end
  change(slot, function()
    slot[kind] = list
    slot.active = #slot.before + #slot.around + #slot.after + #slot.on_error > 0
  end)
  return true
end

---Counts of a method, to be read. `failed`: of the calls looked at, those that answered `nil, err`, or raised.
---@class inner_universe.Meter
---@field failed integer
local Meter = { __name = "inner_universe.Meter" }
Meter.__index = Meter

---@return integer
function Meter:calls()
  local slot = self.slot
  local left = slot and not slot.active and slot.left or self.left
  return self.before + self.every - left
end

---@return boolean removed false when it was removed before
function Meter:remove()
  local slot = self.slot
  if not slot then return false end
  change(slot, function() slot.meter = nil end)
  self.slot = nil
  return true
end

local function new_slot(name)
  return { name = name, left = false, active = false, before = {}, around = {}, after = {}, on_error = {} }
end

-- dispatching --------------------------------------------------------------------------------------------------------

local function observe(list, call, report)
  for _, hook in ipairs(list) do
    local ok, raised = pcall(hook.fn, call)
    if not ok then report(raised, "a hook of " .. call.method) end
  end
end

local function refused(call, hook_list)
  for _, hook in ipairs(hook_list) do
    local ok, verdict, err = pcall(hook.fn, call)
    if not ok then return errors.wrap("PluginError", ("a before hook of %s raised"):format(call.method), verdict) end
    if verdict == false then
      return err or errors.new("PluginError", ("%s was refused by a before hook"):format(call.method), { code = "REFUSED" })
    end
  end
end

local function through_around(around, call)
  local function run(i)
    local hook = around[i]
    if hook then
      return hook.fn(call, function()
        return run(i + 1)
      end)
    end
    local results = table.pack(call.inner(call.target, table.unpack(call.args, 1, call.args.n)))
    return table.unpack(results, 1, results.n)
  end
  return run(1)
end

local function look(meter, began, first, second, ...)
  meter.looked(meter.clock() - began)
  if first == nil and second ~= nil then meter.failed = meter.failed + 1 end
  return first, second, ...
end

-- Not tail called, so that what the method raises with its caller's position has one of this file.
local function run_looked(meter, method, ...)
  return look(meter, meter.clock(), method(...))
end

-- Tail called: level 2 is the user's line.
local function finish(meter, began, ok, first, ...)
  if ok then return first, ... end
  meter.looked(meter.clock() - began)
  meter.failed = meter.failed + 1
  local text = type(first) == "string" and first:match(HERE)
  if text then error(text, 2) end
  error(first, 0)
end

-- Tail called: level 2 is the user's line.
local function dispatch_hooked(slot, report, method, target, via, ...)
  local call = { target = target, method = slot.name, args = table.pack(...), inner = method, via = via }
  local around, after, on_error = slot.around, slot.after, slot.on_error
  call.err = refused(call, slot.before)
  if call.err then
    observe(on_error, call, report)
    return nil, call.err
  end
  local results = table.pack(pcall(through_around, around, call))
  if not results[1] then
    local raised = results[2]
    local text = type(raised) == "string" and raised:match(HERE)
    call.err, call.raised = text or raised, true
    observe(on_error, call, report)
    if text then error(text, 2) end
    error(raised, 0)
  end
  call.results = table.pack(table.unpack(results, 2, results.n))
  if results[2] == nil and results[3] ~= nil then
    call.err = results[3]
    observe(on_error, call, report)
  else
    observe(after, call, report)
  end
  return table.unpack(call.results, 1, call.results.n)
end

-- Tail called from the wrapper of a method with hooks, or whose call the meter looks at.
local function dispatch(slot, report, method, target, via, ...)
  local meter = slot.meter
  if meter and slot.active and meter.left > 1 then
    meter.left = meter.left - 1
    meter = nil
  end
  if not meter then return dispatch_hooked(slot, report, method, target, via, ...) end
  meter.before = meter.before + meter.every
  if slot.active then
    meter.left = meter.every
    return finish(meter, meter.clock(), pcall(run_looked, meter, dispatch_hooked, slot, report, method, target, via, ...))
  end
  slot.left = meter.every
  return finish(meter, meter.clock(), pcall(run_looked, meter, method, target, ...))
end

local WRAPPERS = {
  [0] = function(slot, report, method)
    return function(self)
      local left = slot.left
      if left then
        if left <= 1 then return dispatch(slot, report, method, self, nil) end
        slot.left = left - 1
      end
      return method(self)
    end
  end,
  function(slot, report, method)
    return function(self, a)
      local left = slot.left
      if left then
        if left <= 1 then return dispatch(slot, report, method, self, nil, a) end
        slot.left = left - 1
      end
      return method(self, a)
    end
  end,
  function(slot, report, method)
    return function(self, a, b)
      local left = slot.left
      if left then
        if left <= 1 then return dispatch(slot, report, method, self, nil, a, b) end
        slot.left = left - 1
      end
      return method(self, a, b)
    end
  end,
  function(slot, report, method)
    return function(self, a, b, c)
      local left = slot.left
      if left then
        if left <= 1 then return dispatch(slot, report, method, self, nil, a, b, c) end
        slot.left = left - 1
      end
      return method(self, a, b, c)
    end
  end,
  function(slot, report, method)
    return function(self, a, b, c, d)
      local left = slot.left
      if left then
        if left <= 1 then return dispatch(slot, report, method, self, nil, a, b, c, d) end
        slot.left = left - 1
      end
      return method(self, a, b, c, d)
    end
  end,
  function(slot, report, method)
    return function(self, a, b, c, d, e)
      local left = slot.left
      if left then
        if left <= 1 then return dispatch(slot, report, method, self, nil, a, b, c, d, e) end
        slot.left = left - 1
      end
      return method(self, a, b, c, d, e)
    end
  end,
}

local function wrap_varargs(slot, report, method)
  return function(self, ...)
    local left = slot.left
    if left then
      if left <= 1 then return dispatch(slot, report, method, self, nil, ...) end
      slot.left = left - 1
    end
    return method(self, ...)
  end
end

-- A method with few fixed parameters is called with exactly these: cheaper than varargs.
local function wrap(slot, report, method)
  local info = debug.getinfo(method, "u")
  local count = info.nparams - 1
  if info.isvararg or count < 0 or count > FIXED_MAX then return wrap_varargs(slot, report, method) end
  return WRAPPERS[count](slot, report, method)
end

-- classes ------------------------------------------------------------------------------------------------------------

local function fallback(index)
  if not index then return nil end
  return {
    __index = function(_, key)
      return index(key)
    end,
  }
end

-- Names that methods had in the version before: each works for this one, and says so once.
local function add_aliases(name, wrapped, aliases, warn)
  for old, new in pairs(aliases) do
    local method, told = wrapped[new], false
    if not method or wrapped[old] then error(("class %s: the alias '%s' of '%s' is a method, or of none"):format(name, old, new), 4) end
    wrapped[old] = function(self, ...)
      if not told then
        told = true
        warn(("%s.%s is called %s now; the old name goes with the next version"):format(name, old, new))
      end
      return method(self, ...)
    end
  end
end

local function make_class(name, wrapped, options, hooked)
  local meta = {
    __name = "inner_universe." .. name,
    __metatable = name,
    __index = setmetatable(wrapped, fallback(options.index)),
    __newindex = function(_, key)
      error(("%s.%s cannot be set: extend with hooks or a plugin"):format(name, tostring(key)), 2)
    end,
  }
  if options.tostring then meta.__tostring = options.tostring end
  if options.close then
    function meta.__close(self)
      options.close(self, false)
    end
    function meta.__gc(self)
      if finalizer.may_close(self) then options.close(self, true) end
    end
  end
  return {
    ---An object of the class; `fields` becomes its state (taken).
    new = function(fields)
      return setmetatable(fields or {}, meta)
    end,
    ---`hooked(method).active`: whether it has hooks now, for who would else call an empty method all the time.
    hooked = hooked,
  }
end

---@class inner_universe.Hooks
---@field add fun(kind: string, method: string, fn: function): inner_universe.HookHandle
---@field before fun(method: string, fn: fun(call: inner_universe.HookCall): boolean?, any): inner_universe.HookHandle
---@field around fun(method: string, fn: fun(call: inner_universe.HookCall, next: function): any): inner_universe.HookHandle
---@field after fun(method: string, fn: fun(call: inner_universe.HookCall)): inner_universe.HookHandle
---@field on_error fun(method: string, fn: fun(call: inner_universe.HookCall)): inner_universe.HookHandle
---@field run fun(method: string, as: { target: table, via: string }, fn: function, ...): any
---@field meter fun(method: string, every: integer, clock: fun(): number, looked: fun(seconds: number)): inner_universe.Meter?
---@field names fun(): string[]
---@field describe fun(name: string, methods: table, arguments: table)
---@field arguments fun(method: string): table[]?

---A registry. `report(err, what)` hears hooks that raise where nothing can be refused any more, `warn(text)` that a method was called by an old name.
---@param report fun(err: any, what: string)
---@param warn? fun(text: string)
---@return inner_universe.Hooks
function hooks.new(report, warn)
  local registry = {}
  local slots, plain = {}, {} -- plain: the arguments of methods that have no hooks, or false

  local function slot_of(method, level)
    local slot = slots[method]
    if slot then return slot end
    error(("no method '%s' to hook%s"):format(tostring(method), suggest.hint(tostring(method), slots)), level + 1)
  end

  local function add(kind, method, fn, level)
    if not KINDS[kind] then
      error(("unknown kind of hook '%s'%s"):format(tostring(kind), suggest.hint(tostring(kind), KINDS)), level + 1)
    end
    if type(fn) ~= "function" then error(("a function expected for the hook, got %s"):format(type(fn)), level + 1) end
    local slot = slot_of(method, level + 1)
    local handle = setmetatable({ slot = slot, kind = kind, fn = fn }, HookHandle)
    local list = table.move(slot[kind], 1, #slot[kind], 1, {})
    list[#list + 1] = handle
    change(slot, function() slot[kind], slot.active = list, true end)
    return handle
  end

  -- Users may call with a dot or a colon.
  local function without_self(first, ...)
    if type(first) == "table" then return ... end
    return first, ...
  end

  function registry.add(...)
    local kind, method, fn = without_self(...)
    local handle = add(kind, method, fn, 2)
    return handle
  end

  for kind in pairs(KINDS) do
    registry[kind] = function(...)
      local method, fn = without_self(...)
      local handle = add(kind, method, fn, 2)
      return handle
    end
  end

  ---Counts a method's calls from now on. Every `every`-th is looked at: `looked(seconds)` hears how long it took, its waiting included. A method has one
  ---meter at a time: nil where it has one.
  ---@param method string
  ---@param every integer
  ---@param clock fun(): number seconds
  ---@param looked fun(seconds: number) must not raise
  ---@return inner_universe.Meter?
  function registry.meter(method, every, clock, looked)
    local slot = slot_of(method, 2)
    if slot.meter then return nil end
    local meter = setmetatable({ slot = slot, before = 0, left = every, failed = 0, every = every, clock = clock, looked = looked }, Meter)
    change(slot, function() slot.meter = meter end)
    return meter
  end

  ---Declares a class whose methods can be hooked: as `<method>` for the class "manager", as `<class>.<method>` for others.
  ---@param name string
  ---@param methods table<string, function>
  ---@param options? { index?: function, close?: function, tostring?: function, aliases?: table<string, string>, arguments?: table<string, table[]> }
  ---  aliases: old name = the method's name now; arguments: of each method, as check.arguments takes them
  function registry.class(name, methods, options)
    local wrapped = {}
    for key, method in pairs(methods) do
      if type(method) ~= "function" then
        error(("class %s: the method '%s' is a %s"):format(name, tostring(key), type(method)), 2)
      end
      local hook_name = name == "manager" and key or name .. "." .. key
      slots[hook_name] = slots[hook_name] or new_slot(hook_name)
      slots[hook_name].arguments = options and options.arguments and options.arguments[key]
      wrapped[key] = wrap(slots[hook_name], report, method)
    end
    if options and options.aliases then add_aliases(name, wrapped, options.aliases, warn or function() end) end
    return make_class(name, wrapped, options or {}, function(key)
      return slots[name == "manager" and key or name .. "." .. key]
    end)
  end

  ---Calls fn(as.target, ...) as the method: its hooks run around it, and see `as.via`. For plugins that do what a method does in another way (writes that are
  ---gathered, say), so that who hooked the method is not gone past. Tail called, it keeps the caller's line.
  ---@param method string
  ---@param as { target: table, via: string }
  ---@param fn function
  function registry.run(method, as, fn, ...)
    local slot = slots[method]
    if not slot then error(("no method '%s' to run as%s"):format(tostring(method), suggest.hint(tostring(method), slots)), 2) end
    local left = slot.left
    if left then
      if left <= 1 then return dispatch(slot, report, fn, as.target, as.via, ...) end
      slot.left = left - 1
    end
    return fn(as.target, ...)
  end

  ---Says what methods take that cannot be hooked, those of an object that is no class of this registry: `arguments("<name>.<method>")` answers it then.
  ---@param name string
  ---@param methods table<string, any> what is a function among them
  ---@param arguments table<string, table[]>
  function registry.describe(name, methods, arguments)
    for key, method in pairs(methods) do
      if type(method) == "function" then plain[name .. "." .. key] = arguments[key] or false end
    end
  end

  ---What a method's arguments are, as `check.arguments` takes them; nil where its class does not say.
  ---@param method string
  ---@return table[]? arguments
  function registry.arguments(...)
    local method = without_self(...)
    if plain[method] ~= nil then return plain[method] or nil end
    return slot_of(method, 2).arguments
  end

  ---Names that can be hooked, sorted.
  ---@return string[]
  function registry.names()
    local names = {}
    for name in pairs(slots) do
      names[#names + 1] = name
    end
    table.sort(names)
    return names
  end

  return registry
end

return hooks
