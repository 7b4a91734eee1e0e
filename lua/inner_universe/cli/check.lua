-- check.lua: `iu check FILE`: is everything in a universe file as it should be? The core looks at bytes (checksums, rows, columns, indexes; whoever
-- declared the tables); then NERV's tables are loaded into memory, as an open would, and what they say of each other is compared here. The file is only read.

local core = require("inner_universe.core")
local iu = require("inner_universe")
local out = require("inner_universe.cli.out")
local universe_file = require("inner_universe.cli.universe_file")
local versions = require("inner_universe.cli.check_versions")

local SHOWN = 50 -- findings in the text; --json has all that were told

local check = {
  summary = "look for damage in a universe file",
  usage = "FILE [--json]",
  details = [[
Looks at everything: SQLite's integrity check, the journal's checksums and numbers, every row of every table (modules' own, too) against its
type and its readable columns, text indexes, keys and unique constraints, the ends of relations, counts and heads, and each state against its
hash. Only reads; a file that is open is looked at as of one moment, a file that was not closed properly as the next open would find it.
Exit status: 0 nothing is wrong (warnings do not count), 1 something is.]],
  options = { json = { help = "one object" } },
  min = 1,
  max = 1,
}

local function add(result, is_warning, name, format, ...)
  result.findings[#result.findings + 1] = { warning = is_warning, table = name, message = format:format(...) }
  local key = is_warning and "warnings" or "errors"
  result[key] = result[key] + 1
end

-- What the tables say of each other ----------------------------------------------------------------------------------

local function all(conn, name)
  return assert(conn:select(name, {}))
end

local function check_relations(conn, result)
  for _, relation in ipairs(all(conn, "relation")) do
    for _, side in ipairs({ "from_entity", "to_entity" }) do
      if not conn:get("entity", relation[side]) then
        add(result, false, "relation", "the relation `%s`: its %s `%s` does not exist", relation.id, side, relation[side])
      end
    end
  end
end

local function check_events(conn, result)
  local head = conn:get("event_head", 0)
  local events, highest = all(conn, "event_log"), 0
  for _, event in ipairs(events) do highest = math.max(highest, event.sequence) end
  if not head then
    if #events > 0 then add(result, false, "event_head", "there are %d events and no head", #events) end
    return
  end
  if head.count ~= #events then add(result, false, "event_head", "the head counts %d events, and there are %d", head.count, #events) end
  if head.sequence < highest then add(result, false, "event_head", "the head is at %d, and an event has %d", head.sequence, highest) end
end

local function check_versions(conn, result)
  versions.check(conn, function(...) add(result, ...) end, result)
  for _, branch in ipairs(all(conn, "state_branch")) do
    if not conn:get("state_version", branch.head_version_id) then
      add(result, false, "state_branch", "the head of %s `%s`, version `%s`, does not exist", branch.kind, branch.name, branch.head_version_id)
    end
  end
  for _, delta in ipairs(all(conn, "delta_record")) do
    if not conn:get("state_version", delta.state_version_id) then
      add(result, true, "delta_record", "the delta `%s`: its version `%s` is not there (any more)", delta.delta_id, delta.state_version_id)
    end
  end
end

local function check_meaning(path, result)
  local conn, err = core.open({ path = path, snapshot = true, known_only = true }) -- modules of its own or not
  if not conn then
    add(result, err.kind == "MigrationError", nil, "what the toolkit's own tables say of each other was not looked at: %s", out.message(err))
    return
  end
  local open <close> = conn
  for _, part in ipairs({ check_relations, check_events, check_versions }) do
    local ok, why = pcall(part, open, result)
    if not ok then add(result, false, nil, "it cannot be read: %s", out.message(why)) end
  end
end

-- ------------------------------------------------------------------------------------------------------------------

---Everything that is found.
---@param path string
---@return table? result { findings, errors, warnings, tables, rows, hashes, ... }
---@return any err
function check.of(path)
  local empty, err = core.open({}) -- for its schema
  if not empty then return nil, err end
  local result
  result, err = empty:check_file(path)
  empty:close()
  if not result then return nil, err end
  result.path = path
  check_meaning(path, result)
  return result
end

local function print_result(result)
  for i, finding in ipairs(result.findings) do
    if i > SHOWN then break end
    out.line("%s: %s%s", finding.warning and "warning" or "error", finding.table and finding.table .. ": " or "", finding.message)
  end
  if #result.findings > SHOWN then out.line("... and %s", out.count(#result.findings - SHOWN, "more", "more")) end
  local verdict = result.errors > 0 and out.count(result.errors, "error") or "nothing is wrong"
  if result.warnings > 0 then verdict = verdict .. ", " .. out.count(result.warnings, "warning") end
  out.line("%s: %s; %s in %s, %s of the journal, %s compared", result.path, verdict, out.count(result.rows, "row"), out.count(result.tables, "table"),
    out.count(result.journal_commits, "commit"), out.count(result.hashes or 0, "hash", "hashes"))
end

function check.run(options, arguments)
  local path, wrong = universe_file.find(arguments[1])
  if not path then return out.fail("%s", wrong) end
  local result, err = check.of(path)
  if not result then return out.fail("%s", out.message(err)) end
  if options.json then
    result.findings = iu.array(result.findings)
    out.line("%s", assert(iu.json.encode(result)))
  else
    print_result(result)
  end
  return result.errors == 0 and 0 or 1
end

return check
