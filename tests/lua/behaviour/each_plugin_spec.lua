-- Every plugin that comes with the library, by itself: found by listing plugins/, so that a new one is among them. It starts with nothing but what it
-- requires, is well, stops, and leaves nothing behind; it can be left out; it knows its configuration.

local iu = require "inner_universe"
local core = require "inner_universe.core"
local support = require "support"

local NEVER_OUT = { persistence_manager = true, controller = true } -- without which there is no manager

local function listed()
  local names = {}
  local pipe = assert(io.popen("ls plugins"))
  for name in pipe:lines() do names[#names + 1] = name end
  pipe:close()
  assert(#names > 8)
  return names
end

local NAMES = listed()

-- A configuration in which nothing runs but `name` and what it requires.
local function alone(name)
  local plugins, needed = { [name] = true }, {}
  for _, row in ipairs(assert(iu.plugins { plugins = plugins })) do needed[row.name] = row end
  local wanted = {}
  local function want(each)
    if wanted[each] then return end
    wanted[each] = true
    for _, text in ipairs(needed[each].requires) do want(text:match("^%S+")) end
  end
  want(name)
  want("persistence_manager")
  for _, each in ipairs(NAMES) do
    if not wanted[each] then plugins[each] = false end
  end
  return plugins, wanted
end

-- A universe with these plugins; files that they make beside it go with the test.
local function open(plugins, target)
  return support.open({ plugins = plugins, db_path = support.on_server and support.path() or nil }, target)
end

local function row_of(m, name)
  for _, row in ipairs(m:status().plugins) do
    if row.name == name then return row end
  end
end

local function settle()
  for _ = 1, 4 do
    collectgarbage()
    iu.step(1)
  end
end

for _, name in ipairs(NAMES) do
  describe("the plugin " .. name, function()
    after_each(support.clean)

    it("starts with nothing but what it requires, is well, and stops", function()
      local plugins, wanted = alone(name)
      local m = open(plugins)
      for _, row in ipairs(m:status().plugins) do
        assert.equal(wanted[row.name] and "started" or "left out", row.state, ("%s: %s"):format(row.name, tostring(row.reason)))
      end
      local object = assert(m:plugin(name))
      if name ~= "persistence_manager" then
        assert.equal("function", type(object.health), "it has no health()")
        assert.equal("function", type(object.stop), "it has no stop()")
        assert.same({ true, true }, { (object:health()) == true, (object:health()) })
      end
      assert(m:create_entity("T"))
      assert.is_true(m:shutdown())
      assert.equal("stopped", row_of(m, name).state)
    end)

    it("leaves no task and nothing that is held behind", function()
      local plugins = alone(name)
      local target = support.target()
      local function once()
        local m = open(plugins, target)
        iu.run(function()
          assert(m:create_entity("T"))
          iu.sleep(0.002)
        end)
        support.close(m)
        settle()
      end
      once()
      local before = core.debug_refs()
      once()
      once()
      assert.equal(before, core.debug_refs())
      iu.run(function() iu.sleep(0.002) end) -- ends: no task waits
    end)

    it("can be left out", function()
      if NEVER_OUT[name] then
        support.refused("PluginError", nil, select(2, iu.open("memory:", { plugins = { [name] = false } })))
        return
      end
      local m = open { [name] = false }
      support.refused("PluginError", nil, select(2, m:plugin(name)), name)
      local id = assert(m:create_entity("T", { name = "without" }))
      assert.equal("without", m:get_entity(id).metadata.name)
    end)

    it("knows its configuration, and says what is wrong with another", function()
      local row
      for _, each in ipairs(assert(iu.plugins { plugins = { [name] = true } })) do
        if each.name == name then row = each end
      end
      assert.truthy(row.description and #row.description > 10)
      local function refused(config, ...)
        for _, each in ipairs(assert(iu.plugins { plugins = { [name] = config } })) do
          if each.name == name then
            assert.equal("refused", each.state)
            for _, text in ipairs { ... } do assert.truthy(each.reason:find(text, 1, true), each.reason) end
          end
        end
      end
      refused({ no_such_key = 1 }, "no_such_key")
      for key, entry in pairs(row.config) do
        assert.is_true(#entry.description > 10, key)
        refused({ [key] = entry.type == "table" and "a text" or {} }, key, entry.type)
      end
    end)
  end)
end
