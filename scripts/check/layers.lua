-- The layers of the core: a folder includes only folders below it, only bind includes Lua's headers, headers form no cycle, and
-- the code that also compiles to wasm32 includes nothing of the C library.

local tree = require("tree")

-- The one list of the order, low to high. Names on one line stand side by side and do not know each other.
local ORDER = {
  { "include" },
  { "base" },
  { "sats" },
  { "document" },
  { "store" },
  { "query" },
  { "module" },
  { "journal" },
  { "net" },
  { "protocol" },
  { "rows.h" },
  { "rows.c" },
  { "connection.h" },
  { "engine", "client" },
  { "host" },
  { "server" },
  { "bind" },
}

local LUA_HEADERS = { ["lua.h"] = true, ["lauxlib.h"] = true, ["lualib.h"] = true, ["luaconf.h"] = true, ["lua.hpp"] = true }

local rank = {}
for place, names in ipairs(ORDER) do
  for _, name in ipairs(names) do
    rank[name] = place
  end
end

-- The layer a file of core/ belongs to: its folder, or its own name when it lies directly in core/.
local function layer_of(path)
  return path:match("^core/([^/]+)/") or path:match("^core/([^/]+)$")
end

-- "core/store/../base/buffer.h" to "core/base/buffer.h".
local function normalise(path)
  local before
  repeat
    before = path
    path = path:gsub("[^/]+/%.%./", "", 1):gsub("/%./", "/")
  until path == before
  return path
end

local function includes_of(path)
  local quoted, system = {}, {}
  for line in tree.read(path):gmatch("[^\n]+") do
    local own = line:match('^%s*#%s*include%s*"([^"]+)"')
    local other = line:match("^%s*#%s*include%s*<([^>]+)>")
    if own then quoted[#quoted + 1] = own end
    if other then system[#system + 1] = other end
  end
  return quoted, system
end

local function check_include(report, path, included)
  local own, other = layer_of(path), layer_of(included)
  if not tree.exists(included) then
    report.fail(("%s includes %s, which does not exist"):format(path, included))
  elseif not other then
    report.fail(("%s includes %s, which is outside core/"):format(path, included))
  elseif own ~= other and rank[other] and rank[own] and rank[other] >= rank[own] then
    report.fail(("%s includes %s: %s is not below %s"):format(path, included, other, own))
  end
end

local function check_file(report, path, graph)
  local own = layer_of(path)
  if not rank[own] then
    report.fail(("%s: the layer %s is not in the order of scripts/check/layers.lua"):format(path, own))
  end
  local quoted, system = includes_of(path)
  local edges = {}
  for _, name in ipairs(quoted) do
    if LUA_HEADERS[name] and own ~= "bind" then report.fail(path .. " includes Lua's " .. name .. "; only core/bind may") end
    local included = normalise((path:match("^(.*/)") or "") .. name)
    check_include(report, path, included)
    edges[#edges + 1] = included
  end
  for _, name in ipairs(system) do
    if LUA_HEADERS[name] and own ~= "bind" then report.fail(path .. " includes Lua's " .. name .. "; only core/bind may") end
  end
  graph[path] = edges
end

-- Depth first; a header that is met again while it is still open closes a cycle.
local function check_cycles(report, graph)
  local state = {}
  local function visit(path, trail)
    if state[path] == "done" or not graph[path] then return end
    trail[#trail + 1] = path
    if state[path] == "open" then
      report.fail("include cycle: " .. table.concat(trail, " -> "))
    else
      state[path] = "open"
      for _, included in ipairs(graph[path]) do
        visit(included, trail)
      end
      state[path] = "done"
    end
    trail[#trail] = nil
  end
  for path in pairs(graph) do
    if path:match("%.h$") then visit(path, {}) end
  end
end

return function(report)
  local graph = {}
  local files = tree.files("core", "*.[ch]")
  for _, path in ipairs(files) do
    check_file(report, path, graph)
  end
  check_cycles(report, graph)
  for _, path in ipairs(tree.files("tests/c", "*.[ch]")) do
    local _, system = includes_of(path)
    for _, name in ipairs(system) do
      if LUA_HEADERS[name] and not path:match("/bind_[^/]*$") then
        report.fail(path .. " includes Lua's " .. name .. "; only tests of bind (bind_*_test.c) may")
      end
    end
  end
  report.note(#files .. " files")
end
