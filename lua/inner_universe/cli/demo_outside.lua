-- demo_outside.lua: the demo's checks that do not trust this library: the sqlite3 command line reads the closed file, python3 hashes the
-- source files. Each answers what `demo_check` reports: true and a detail, false and what differs, or nil and why it was left out.

local iu = require("inner_universe")
local catalogues = require("inner_universe.cli.demo_catalogue")
local out = require("inner_universe.cli.out")

local demo_outside = {}

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function has(command)
  return os.execute("command -v " .. command .. " >/dev/null 2>&1") == true
end

-- Rows of a query as objects, by sqlite3 itself.
local function ask(path, sql)
  local pipe = assert(io.popen(("sqlite3 -batch -init /dev/null -readonly -json %s %s 2>&1"):format(quote(path), quote(sql))))
  local text = pipe:read("a")
  if not pipe:close() then error("sqlite3: " .. text, 0) end
  if text == "" then return {} end
  return assert(iu.json.decode(text))
end

local function check_entities(path, edited)
  local rows = ask(path, "SELECT id, entity_type, metadata FROM entity")
  for _, row in ipairs(rows) do
    local wanted = edited.entities[row.id]
    local metadata = wanted and assert(iu.json.decode(row.metadata))
    if not (metadata and row.entity_type == wanted.entity_type and metadata.name == wanted.metadata.name
      and catalogues.same(metadata.tags, wanted.metadata.tags) and catalogues.same(metadata.properties, wanted.metadata.properties)) then
      error(("the entity %s differs"):format(row.id), 0)
    end
  end
  local wanted = 0
  for _ in pairs(edited.entities) do
    wanted = wanted + 1
  end
  if #rows ~= wanted then error(("%d entities, %d expected"):format(#rows, wanted), 0) end
  return #rows
end

local function check_relations(path, edited)
  local rows = ask(path, "SELECT from_entity, relation_type, to_entity FROM relation")
  local found = {}
  for _, row in ipairs(rows) do
    local key = catalogues.key(row.from_entity, row.relation_type, row.to_entity)
    if not edited.relations[key] or found[key] then error(("the relation %s is not expected"):format(key), 0) end
    found[key] = true
  end
  if #rows ~= #edited.relation_order then error(("%d relations, %d expected"):format(#rows, #edited.relation_order), 0) end
  return #rows
end

local function check_log(path)
  local log = ask(path, "SELECT count(*) AS events, min(sequence) AS first, max(sequence) AS last, count(DISTINCT sequence) AS different FROM event_log")[1]
  if log.first ~= 1 or log.last ~= log.events or log.different ~= log.events then error("the event log has gaps", 0) end
  return log.events
end

local function check_whole(path)
  local verdict = ask(path, "PRAGMA integrity_check")[1].integrity_check
  if verdict ~= "ok" then error("integrity_check: " .. verdict, 0) end
  local left = ask(path, "SELECT count(*) AS n FROM _iu_journal")[1].n
  if left ~= 0 then error(("%d groups are left in the journal"):format(left), 0) end
end

local function check_hashes(path, hashes)
  local rows = ask(path, "SELECT data_hash FROM state_version ORDER BY timestamp")
  for i, hash in ipairs(hashes) do
    if not rows[i] or rows[i].data_hash ~= hash then error(("version %d has another hash"):format(i), 0) end
  end
end

---The closed file, by the sqlite3 command line: integrity, every entity, every relation, the log, the hashes.
function demo_outside.sqlite(path, edited, hashes)
  if not has("sqlite3") then return nil, "sqlite3 is not installed" end
  local ok, detail = pcall(function()
    check_whole(path)
    check_hashes(path, hashes)
    return ("%s, %s, %s"):format(out.count(check_entities(path, edited), "entity", "entities"),
      out.count(check_relations(path, edited), "relation"), out.count(check_log(path), "event"))
  end)
  return ok, detail
end

-- Builds both states from the files and the operations, knowing nothing of this library.
local PYTHON = [=[
import hashlib, json, sys
job = json.load(sys.stdin)
def digest(state):
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
state = {}
for s in job["sources"]:
    with open(job["folder"] + "/" + s["file"], encoding="utf-8") as f:
        state[s["kind"]] = {entry[s["code"]]: entry for entry in json.load(f)[s["root"]]}
print(digest(state))
for o in job["operations"]:
    *path, last = o["path"].split(".")
    at = state
    for key in path:
        at = at[key]
    if o["op"] == "set":
        at[last] = o["value"]
    elif o["op"] == "insert":
        at[last].insert(o["index"], o["value"])
    else:
        at.pop(last, None)
print(digest(state))
]=]

---The hashes of both versions, by python3's json.dumps(state, sort_keys=True) and hashlib over the source files.
function demo_outside.python(catalogue, hashes)
  if not has("python3") then return nil, "python3 is not installed" end
  local name = os.tmpname()
  local file = assert(io.open(name, "wb"))
  file:write(assert(iu.json.encode({ folder = catalogue.folder, sources = catalogues.SOURCES, operations = catalogue.operations })))
  file:close()
  local pipe = assert(io.popen(("python3 -I -c %s <%s 2>&1"):format(quote(PYTHON), quote(name))))
  local text = pipe:read("a")
  local ok = pipe:close()
  os.remove(name)
  if not ok then return false, "python3: " .. text end
  local found = {}
  for line in text:gmatch("[^\n]+") do
    if #line == 64 and line:match("^%x+$") then found[#found + 1] = line end
  end
  for i, hash in ipairs(hashes) do
    if found[i] ~= hash then return false, ("version %d: python3 says %s, the universe %s"):format(i, tostring(found[i]), hash) end
  end
  return true, ("%s..., %s..."):format(hashes[1]:sub(1, 12), hashes[2]:sub(1, 12))
end

return demo_outside
