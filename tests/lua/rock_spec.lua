-- The rock: built by luarocks into a temporary tree, it works from another folder with the search paths of that tree only.
-- sanitizers: skip (it compiles the release once more; nothing here is about memory)

local SCRIPT = [[
local iu = require "inner_universe"
assert(package.searchpath("inner_universe", package.path):find(arg[1], 1, true), "the rock's own module is not the one loaded")
local path = arg[2]
local id
do
  local manager = assert(iu.open(path))
  id = assert(manager:create_entity("Person", { name = "Ada", properties = { age = 36 } }))
  assert(manager:publish_event("USER_ACTION", { action = "login" }, "rock"))
  assert(manager:commit_version({ items = { 1, 2.0 } }, "first"))
  assert(manager:shutdown())
end
local manager = assert(iu.open(path))
local ada = assert(manager:get_entity(id))
print(ada.metadata.name, ada.metadata.properties.age)
assert(manager:shutdown())
]]

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function sh(command)
  local pipe = assert(io.popen("{ " .. command .. "\n} 2>&1", "r"))
  local output = pipe:read("a")
  return pipe:close() == true, output
end

local function has(command)
  return (sh("command -v " .. command))
end

describe("the rock", function()
  local work, tree

  setup(function()
    if not has("luarocks") then return end
    work = select(2, sh("mktemp -d")):match("[^\n]+")
    tree = work .. "/tree"
    local ok, output = sh(("HOME=%s MAKEFLAGS=-j$(nproc) luarocks --lua-version 5.4 make --tree %s rockspec/inner_universe-*.rockspec")
      :format(quote(work), quote(tree)))
    assert(ok, output)
    local file = assert(io.open(work .. "/script.lua", "w"))
    file:write(SCRIPT)
    file:close()
  end)

  teardown(function()
    if work then sh("rm -rf " .. quote(work)) end
  end)

  -- Runs a command in the temporary folder, with no search path but the tree's.
  local function run(command)
    return sh(("cd %s && LUA_PATH='%s/share/lua/5.4/?.lua;%s/share/lua/5.4/?/init.lua' LUA_CPATH='%s/lib/lua/5.4/?.so' %s")
      :format(quote(work), tree, tree, tree, command))
  end

  it("runs a script under plain lua5.4 from another folder", function()
    if not work then return pending("luarocks is not installed") end
    local ok, output = run("lua5.4 script.lua " .. quote(tree) .. " first.universe")
    assert.is_true(ok, output)
    assert.equal("Ada\t36\n", output)
  end)

  it("offers the command iu, which finds the modules by itself", function()
    if not work then return pending("luarocks is not installed") end
    local ok, output = sh(("cd %s && env -u LUA_PATH -u LUA_CPATH %s/bin/iu run script.lua %s second.universe")
      :format(quote(work), tree, quote(tree)))
    assert.is_true(ok, output)
    assert.equal("Ada\t36\n", output)
  end)

  it("holds the plugins that the source tree has", function()
    if not work then return pending("luarocks is not installed") end
    local _, names = sh("ls -d plugins/*/")
    local count = 0
    for name in names:gmatch("plugins/([%w_]+)/") do
      count = count + 1
      for _, file in ipairs({ "manifest.lua", "init.lua" }) do
        local path = ("%s/share/lua/5.4/inner_universe/plugins/%s/%s"):format(tree, name, file)
        assert.is_true(sh("test -f " .. quote(path)), path)
      end
    end
    assert.is_true(count > 0)
  end)
end)
