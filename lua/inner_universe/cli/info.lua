-- info.lua: `iu info FILE`: what is in a universe file. It only reads, also while another process has the file open; then, and after a
-- crash, the numbers are those of the last fold, and it says how much of the journal is not folded yet.

local iu = require("inner_universe")
local out = require("inner_universe.cli.out")
local universe_file = require("inner_universe.cli.universe_file")

local info = {
  summary = "what a universe file holds: tables, rows, bytes, journal, versions",
  usage = "FILE [--json]",
  details = [[
Only reads. While a process has the file open, or after one was killed, the rows are those of the last fold; the journal line says what
is to come. Bytes of a table are those of its rows as the universe loads them.]],
  options = { json = { help = "one object" } },
  min = 1,
  max = 1,
}

-- Rows of a query as arrays; raises an err.
local function rows_of(path, sql)
  return assert(universe_file.sql(path, sql)).rows
end

local function read_tables(path)
  local tables = {}
  for _, row in ipairs(rows_of(path, "SELECT name FROM _iu_table ORDER BY id")) do
    local name = row[1]
    local counted = rows_of(path, ('SELECT count(*), ifnull(sum(length(_row)), 0) FROM "%s"'):format(name))[1]
    tables[#tables + 1] = { name = name, rows = counted[1], bytes = counted[2] }
  end
  return iu.array(tables)
end

local function read_versions(path)
  local head = rows_of(path, [[
    SELECT name, head_version_id, description, data_hash FROM state_branch JOIN state_version ON version_id = head_version_id
    WHERE kind = 'branch' ORDER BY name]])
  local branches = {}
  for i, row in ipairs(head) do
    branches[i] = { branch = row[1], version_id = row[2], description = row[3], data_hash = row[4] }
  end
  return { count = universe_file.value(path, "SELECT count(*) FROM state_version"), branches = iu.array(branches) }
end

-- Identities are stored as little-endian numbers and shown as big-endian hex.
local function big_endian(hex)
  return (hex:gsub("(.)(.)", "%2%1"):reverse())
end

local function read(path)
  local journal = rows_of(path, "SELECT count(*), ifnull(sum(last - first + 1), 0), ifnull(sum(length(frames)), 0) FROM _iu_journal")[1]
  local owner = universe_file.value(path, "SELECT lower(hex(value)) FROM _iu_meta WHERE key = 'owner'")
  return {
    path = path,
    format = universe_file.value(path, "PRAGMA user_version"),
    bytes = universe_file.size(path),
    wal_bytes = universe_file.size(path .. "-wal"),
    holder = universe_file.holder(path),
    settled = universe_file.is_settled(path),
    owner = owner and big_endian(owner),
    schema_version = universe_file.value(path, "SELECT value FROM config WHERE key = 'schema_version'"),
    journal = { groups = journal[1], commits = journal[2], bytes = journal[3] },
    events = universe_file.value(path, "SELECT count FROM event_head WHERE id = 0") or 0,
    versions = read_versions(path),
    tables = read_tables(path),
  }
end

local function state_of(facts)
  if facts.holder then return ("open in process %d"):format(facts.holder) end
  return facts.settled and "closed properly" or "not closed properly; the next open brings it in order"
end

local function journal_of(facts)
  if facts.journal.groups == 0 then return "empty, everything is in the tables" end
  return ("%s, %s, not folded yet"):format(out.count(facts.journal.commits, "commit"), out.bytes(facts.journal.bytes))
end

local function print_facts(facts)
  out.line("%s", facts.path)
  local function line(name, format, ...)
    out.line("  %-9s " .. format, name, ...)
  end
  line("format", "%d, schema %s", facts.format, facts.schema_version or "unknown")
  line("size", "%s on disk%s", out.bytes(facts.bytes), facts.wal_bytes > 0 and " and " .. out.bytes(facts.wal_bytes) .. " write-ahead" or "")
  line("state", "%s", state_of(facts))
  line("journal", "%s", journal_of(facts))
  line("owner", "%s", facts.owner or "unknown")
  line("events", "%s", out.thousands(facts.events))
  line("versions", "%s", out.thousands(facts.versions.count))
  for _, head in ipairs(facts.versions.branches) do
    line("", "%s is at %s%s", head.branch, head.version_id, head.description ~= "" and (' "%s"'):format(head.description) or "")
  end
  local rows, empty = {}, {}
  for _, t in ipairs(facts.tables) do
    if t.rows > 0 then
      rows[#rows + 1] = { t.name, out.thousands(t.rows), out.thousands(t.bytes) }
    else
      empty[#empty + 1] = t.name
    end
  end
  out.line("")
  if #rows > 0 then out.write(out.table({ "table", "rows", "bytes" }, rows, { right = { [2] = true, [3] = true }, indent = "  " })) end
  if #empty > 0 then out.line("  empty: %s", table.concat(empty, ", ")) end
end

function info.run(options, arguments)
  local path, wrong = universe_file.find(arguments[1])
  if not path then return out.fail("%s", wrong) end
  local ok, facts = pcall(read, path)
  if not ok then return out.fail("%s", out.message(facts)) end
  if options.json then
    out.line("%s", assert(iu.json.encode(facts)))
  else
    print_facts(facts)
  end
  return 0
end

return info
