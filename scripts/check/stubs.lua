-- Every function that core/bind registers for Lua is documented as a LuaCATS stub (`function core.name(...)` or
-- `function Class:name(...)` in the ---@meta file below lua/) and is used by some test or by the Lua side itself.

local tree = require("tree")

-- Names in luaL_Reg tables: { "name", function }. Metamethods have no stub.
local function registered()
  local names = {}
  for _, path in ipairs(tree.files("core/bind", "*.c")) do
    for name in tree.c_code(path):gmatch('{%s*"([%a_][%w_]*)"%s*,%s*[%a_][%w_]*%s*}') do
      if not name:match("^__") then names[name] = path end
    end
  end
  return names
end

local function joined(paths)
  local texts = {}
  for _, path in ipairs(paths) do
    texts[#texts + 1] = tree.read(path)
  end
  return table.concat(texts, "\n")
end

return function(report)
  local stubs, users = {}, tree.files("tests/lua tests/c", "*.*")
  for _, path in ipairs(tree.files("lua", "*.lua")) do
    local list = tree.read(path):match("^%-%-%-@meta") and stubs or users
    list[#list + 1] = path
  end
  local documented, used = joined(stubs), joined(users)
  local count = 0
  for name, path in pairs(registered()) do
    count = count + 1
    if not documented:find("function%s+[%w_.]+[.:]" .. name .. "%s*%(") then
      report.fail(("%s registers %s, which no ---@meta file below lua/ documents"):format(path, name))
    end
    if not used:find("%f[%w_]" .. name .. "%f[^%w_]") then
      report.fail(("%s registers %s, which nothing below lua/ or tests/ uses"):format(path, name))
    end
  end
  report.note(count .. " functions")
end
