-- What the JSON jobs do with a document, by Inner Universe and by lua-cjson, and the jobs' common shape: speeds in MB of the document's text a second.
-- Each measurement is one call in a fresh process, as when a program reads a file.

local bare = require "harness.bare"
local documents = require "harness.documents"
local iu = require "inner_universe"
local world = require "harness.world"

local json_work = {}

-- The document of that kind ("real", "records") that a job works on; ends the job, aloud, where there is none.
function json_work.path(kind, name)
  local path, why = documents[kind]()
  if path then return path end
  print(("  %s\n      left out: %s"):format(name, why))
  os.exit(0)
end

local function parse(decode, path)
  local text = documents.read(path)
  local value
  local seconds = world.seconds(function() value = decode(text) end)
  assert(value)
  return seconds
end

local function encode(library, path)
  local value = assert(library.decode(documents.read(path)))
  local text
  collectgarbage()
  local seconds = world.seconds(function() text = library.encode(value) end)
  assert(text)
  return seconds
end

-- What every writer of tables through Lua's C API does before it writes a byte.
local function walk(path)
  local value = assert(iu.json.decode(documents.read(path)))
  local walk_all = bare().walk
  collectgarbage()
  return world.seconds(function() walk_all(value) end)
end

local works = {
  parse = function(library, path) return parse(library.decode, path) end,
  encode = encode,
}

-- The job of that work ("parse", "encode") on the document, beside lua-cjson and Node, as harness.job takes it.
function json_work.job(work, kind, what)
  local name = kind == "real" and "json_" .. work or ("json_%s_%s"):format(work, kind)
  local path = json_work.path(kind, name)
  return { name = name, what = what, aim = 2, aims = { node = 1 }, count = #documents.read(path) // 1000000, unit = "MB a second",
    ours = function() return works[work](iu.json, path) end,
    variants = { ["lua-cjson"] = function() return works[work](require "cjson", path) end },
    floors = work == "encode" and { walk = function() return walk(path) end } or nil,
    peers = { node = work .. " " .. path } }
end

return json_work
