-- JSON documents of about 20 MB that jobs work on, as files below build/bench/documents/ that stay:
--
--   documents.real()     two versions of a real one: the data of MDN's browser-compat-data, from its npm package; or nil and why not
--   documents.records()  two versions of an array of 100,000 records: in the second 1 % of them are edited, 1 % inserted, 1 % moved
--
-- Each gives two paths. What is not there yet is installed or made; the values of the generated ones are always the same, the order of their keys is not.

local iu = require "inner_universe"

local documents = {}

local FOLDER = "build/bench/documents"
local PACKAGE, OLD, NEW = "@mdn/browser-compat-data", "8.0.0", "8.0.6"
local RECORDS, SEED = 100000, 20260101

local function exists(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end

local function install(version)
  local folder = ("%s/%s"):format(FOLDER, version)
  local path = ("%s/node_modules/%s/data.json"):format(folder, PACKAGE)
  if exists(path) then return path end
  if not os.execute("command -v npm >/dev/null") then return nil, "npm is not installed" end
  local command = "mkdir -p %s && cd %s && echo '{\"private\":true}' > package.json && " ..
    "timeout 120 npm install --no-audit --no-fund --ignore-scripts %s@%s >/dev/null 2>&1"
  if not os.execute(command:format(folder, folder, PACKAGE, version)) or not exists(path) then return nil, "npm cannot install " .. PACKAGE end
  return path
end

function documents.real()
  local old, why = install(OLD)
  if not old then return nil, why end
  local new, why_new = install(NEW)
  if not new then return nil, why_new end
  return old, new
end

-- A generator of our own, so that the documents are the same everywhere.
local function random_from(seed)
  local state = seed
  return function(n)
    state = state * 6364136223846793005 + 1442695040888963407
    return (state >> 33) % n
  end
end

local WORDS = { "amber", "basalt", "cobalt", "dune", "ember", "fjord", "granite", "harbour", "island", "jade", "kelp", "lagoon",
  "m\u{e5}ne", "n\u{fc}gget", "\u{6d77}", "pine" }

local function record(random, id)
  local function word() return WORDS[random(#WORDS) + 1] end
  return { id = id, name = ("%s %s %d"):format(word(), word(), random(1000)), active = random(3) > 0, score = random(1000000) / 8,
    tags = iu.array{ word(), word() },
    position = { x = (random(2000000) - 1000000) / 997, y = (random(2000000) - 1000000) / 1009, level = random(40) },
    owner = "user-" .. random(5000),
    note = random(4) == 0 and iu.null or ("%s %s %s at %d"):format(word(), word(), word(), random(100000)) }
end

local function changed(random, list)
  local new = iu.array{}
  local moved = iu.array{}
  for _, item in ipairs(list) do
    local lot = random(100)
    if lot == 0 then
      local edited = {}
      for key, value in pairs(item) do edited[key] = value end
      edited.score, edited.note = item.score + 1, "edited " .. random(1000)
      new[#new + 1] = edited
    elseif lot == 1 then
      moved[#moved + 1] = item
    else
      if lot == 2 then new[#new + 1] = record(random, RECORDS + #new + 1) end
      new[#new + 1] = item
    end
  end
  for _, item in ipairs(moved) do table.insert(new, random(#new) + 1, item) end
  return new
end

local function write(path, value)
  local file = assert(io.open(path .. ".part", "w"))
  assert(file:write(iu.json.encode(value)))
  assert(file:close())
  assert(os.rename(path .. ".part", path))
end

function documents.records()
  local old, new = FOLDER .. "/records-old.json", FOLDER .. "/records-new.json"
  if exists(old) and exists(new) then return old, new end
  assert(os.execute("mkdir -p " .. FOLDER))
  local random, list = random_from(SEED), iu.array{}
  for id = 1, RECORDS do list[id] = record(random, id) end
  write(old, list)
  write(new, changed(random, list))
  return old, new
end

function documents.read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

return documents
