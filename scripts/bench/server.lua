-- Benchmark of the client on a SpacetimeDB server: calls a second one at a time and with 1,000 in flight, and how long 200,000 subscribed rows of
-- 100 bytes take until they are applied and their callbacks have run, whole and in frames with a budget. Beside it, in the same run and in turn:
-- a bare C loop (what the server and the wire allow) and the official TypeScript SDK of that server's generation. From the top folder, after `make`:
--
--   scripts/iu run scripts/bench/server.lua        `make bench BENCH=server` does it, too; SPACETIMEDB_SERVER names another server program
--
-- Medians of RUNS runs, each in a process of its own. Without a server, clang or node it says what is missing and leaves that out.

package.path = package.path .. ";./tests/lua/?.lua"
local spacetimedb = require "spacetimedb"

local RUNS, ITEMS, FILL = 5, 200000, 5000
local SINGLE, PIPELINED, IN_FLIGHT = 1000, 20000, 1000
local FOLDER = assert(io.popen("pwd -P")):read("l") .. "/build/bench"
local BUDGET = 2 -- ms of a frame
local SDK_LIMIT = 60 -- seconds for one run of the SDK

local function sh(command)
  local pipe = assert(io.popen(command .. " 2>" .. FOLDER .. "/stderr"))
  local output = pipe:read("a")
  local ok = pipe:close()
  return ok and output:gsub("%s+$", "") or nil
end

local function last_words()
  local file = io.open(FOLDER .. "/stderr")
  local text = file and file:read("a") or ""
  if file then file:close() end
  return (text:match("[^\n]*Error[^\n]*") or text:match("([^\n]+)%s*$") or "no reason given"):sub(1, 100)
end

local function skip(why)
  print("  left out: " .. why)
  os.exit(0)
end

os.execute("mkdir -p " .. FOLDER)
print("SpacetimeDB server")
local program = os.getenv("SPACETIMEDB_SERVER")
if not program or program == "" then program = sh("scripts/install-spacetimedb path") end
if not program then skip("no server is installed (make spacetimedb does it)") end
if not sh("command -v clang wasm-ld") then skip("clang and lld are needed for the benchmark's module") end

assert(sh(("clang --target=wasm32-unknown-unknown -std=c11 -O2 -ffreestanding -fno-builtin -nostdlib -c scripts/bench/server/module.c -o %s/module.o")
  :format(FOLDER)), "the module does not compile")
assert(sh(("wasm-ld --no-entry --strip-all %s/module.o -o %s/module.wasm"):format(FOLDER, FOLDER)), "the module does not link")
assert(sh(("gcc -std=c11 -O2 -o %s/bare scripts/bench/server/bare.c"):format(FOLDER)), "bare.c does not compile")

local server <close> = spacetimedb.start { program = program }
local owner = assert(spacetimedb.publish("bench", FOLDER .. "/module.wasm", nil, server))
for first = 0, ITEMS - 1, FILL do
  assert(spacetimedb.call("bench", owner, "fill", ("[%d,%d]"):format(first, FILL), server))
end

local newest = sh(("%s/bare %d bench v3 calls 1 1 90000000"):format(FOLDER, server.port)) and 3 or 1
local PACKAGE = newest == 1 and { "@clockworklabs/spacetimedb-sdk", "1.0.3" } or { "spacetimedb", "2.10.1" }
local sdk = ("%s/%s/node_modules/%s"):format(FOLDER, PACKAGE[2], PACKAGE[1])
local function install_sdk()
  if not sh("command -v node npm") then return "node is not installed" end
  if io.open(sdk .. "/package.json") then return nil end
  local folder = ("%s/%s"):format(FOLDER, PACKAGE[2])
  local ok = sh(("mkdir -p %s && cd %s && echo '{\"private\":true}' > package.json && timeout 120 npm install --no-audit --no-fund --ignore-scripts %s@%s")
    :format(folder, folder, PACKAGE[1], PACKAGE[2]))
  return not ok and "npm cannot install it" or nil
end
local no_sdk = install_sdk()

local next_id = 1000000 -- calls insert rows: each run its own
local function calls_of(count)
  next_id = next_id + count
  return next_id - count
end

local function bare(protocol, what)
  return ("%s/bare %d bench %s %s"):format(FOLDER, server.port, protocol, what)
end
local function lua(protocol, what)
  return ("scripts/iu run scripts/bench/server/lua.lua %d bench %s %s"):format(server.port, protocol, what)
end
local function typescript(_, what)
  return not no_sdk and ("timeout %d node --experimental-websocket scripts/bench/server/sdk.mjs %s %d bench %s"):format(SDK_LIMIT, sdk, server.port, what)
end

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

-- The medians of each peer's columns; a peer that fails once is asked no more.
local function measure(protocol, peers, what)
  local columns, failed = {}, {}
  for _ = 1, RUNS do
    for name, command_of in pairs(peers) do
      local command = not failed[name] and command_of(protocol, type(what) == "function" and what() or what)
      local output = command and sh(command)
      if command and not output then failed[name] = last_words() end
      local i = 0
      for number in (output or ""):gmatch("[%d.]+") do
        i = i + 1
        columns[name] = columns[name] or {}
        columns[name][i] = columns[name][i] or {}
        table.insert(columns[name][i], tonumber(number))
      end
    end
  end
  local medians = {}
  for name, lists in pairs(columns) do
    medians[name] = {}
    for i, list in ipairs(lists) do medians[name][i] = median(list) end
  end
  return medians, failed
end

local function tell(what, text)
  print(("  %-46s %s"):format(what, text))
end

local PEERS = { bare = bare, lua = lua, sdk = typescript }
local function tell_rate(what, protocol, count, in_flight)
  local m, failed = measure(protocol, PEERS, function() return ("calls %d %d %d"):format(count, in_flight, calls_of(count)) end)
  assert(m.lua and m.bare, failed.lua or failed.bare)
  local text = ("%8.0f a second, bare loop %8.0f (%.0f %%)"):format(m.lua[1], m.bare[1], 100 * m.lua[1] / m.bare[1])
  if m.sdk then text = text .. (", SDK %s %.0f (%.1f times)"):format(PACKAGE[2], m.sdk[1], m.lua[1] / m.sdk[1]) end
  tell(what, text .. (failed.sdk and ", SDK: " .. failed.sdk or ""))
end

print(("  %s, medians of %d; SDK %s %s%s"):format(program:match("[^/]+$"), RUNS, PACKAGE[1], PACKAGE[2], no_sdk and ": " .. no_sdk or ""))
for _, protocol in ipairs(newest == 1 and { "v1" } or { "v1", "v2", "v3" }) do
  -- Rows first: calls add more.
  local m, failed = measure(protocol, PEERS, "rows")
  assert(m.lua and m.bare, failed.lua or failed.bare)
  local text = ("%6.0f ms (%.0f rows), on the wire %.0f ms (%.1f times)"):format(m.lua[1], m.lua[2], m.bare[1], m.lua[1] / m.bare[1])
  if m.sdk then text = text .. (", SDK %.0f ms (%.1f times)"):format(m.sdk[1], m.sdk[1] / m.lua[1]) end
  tell(protocol .. ": subscribed rows, applied and told", text .. (failed.sdk and ", SDK: " .. failed.sdk or ""))
  local floor = measure(protocol, { lua = lua }, "tables").lua
  if floor then tell(protocol .. ": of it Lua's own tables and calls", ("%6.0f ms, made by a bare C loop from nothing"):format(floor[1])) end
  tell(protocol .. ": memory for them", ("%6.0f MB grown, %.0f bytes a row of 100%s"):format(m.lua[3], m.lua[4],
    m.sdk and (", SDK %.0f MB"):format(m.sdk[3]) or ""))
  m = measure(protocol, { lua = lua }, "frames " .. BUDGET)
  if m.lua then
    tell(protocol .. ": frames while they arrive", ("%6.1f ms the longest step of %d (%.1f of the processor's time), median %.1f, budget %d ms")
      :format(m.lua[1], m.lua[3], m.lua[5], m.lua[2], BUDGET))
  end
end
for _, protocol in ipairs(newest == 1 and { "v1" } or { "v1", "v2", "v3" }) do
  tell_rate(protocol .. ": calls, one at a time", protocol, SINGLE, 1)
  tell_rate(protocol .. (": calls, %d in flight"):format(IN_FLIGHT), protocol, PIPELINED, IN_FLIGHT)
end
