-- A history whose writer is killed at any moment (SIGKILL), between two commits or inside one: it opens, verifies, its heads are versions that had been
-- acknowledged or were being made, and what was acknowledged is there.
--
-- crash/versioner.lua is the process that dies. IU_TEST_SEED repeats a run's choices (not its timing).

local iu = require "inner_universe"
local content = require "crash.content"
local killing = require "crash.killing"

local SANITIZED = os.getenv("INNER_UNIVERSE_TEST_SANITIZED") == "1"
local KILLS = SANITIZED and 6 or 36
local FOLD_BYTES = 65536 -- so small that folds are often under way

local SEED = math.tointeger(tonumber(os.getenv("IU_TEST_SEED"))) or os.time()

-- What the writers did ------------------------------------------------------------------------------------------------

-- heads: branch -> version id; tags: name -> version id; numbers: version id -> n of its state (false: of a merge); main: ids of the main branch, oldest first.
local function new_model()
  return { heads = {}, tags = {}, numbers = {}, main = {}, seen = {} }
end

local done = {}

function done.commit(model, op, id)
  model.heads[op[1]], model.numbers[id] = id, math.tointeger(tonumber(op[2]))
  if op[1] == "main" then table.insert(model.main, id) end
end

function done.merge(model, op, id)
  if model.heads.main == id then return end -- there was nothing to merge
  model.heads[op[1]], model.numbers[id] = id, false
  table.insert(model.main, id)
end

function done.branch(model, op, id) model.heads[op[1]] = id end
function done.tag(model, op, id) model.tags[op[1]] = id end
function done.delete_branch(model, op) model.heads[op[1]] = nil end
function done.prune() end

-- Reads what a writer said into the model; the operation that no answer came for, how many were acknowledged.
local function hear(model, lines)
  local flying, acknowledged = nil, 0
  for _, line in ipairs(lines) do
    local sign, rest = line:match("^([<>]) (.*)$")
    if sign == ">" then
      flying = {}
      for word in rest:gmatch("%S+") do flying[#flying + 1] = word end
      flying.name = table.remove(flying, 1)
    elseif sign == "<" then
      done[flying.name](model, flying, rest)
      model.seen[flying.name] = (model.seen[flying.name] or 0) + 1
      flying, acknowledged = nil, acknowledged + 1
    elseif line ~= "opened" then
      error("the writer said: " .. table.concat(lines, "\n", math.max(1, #lines - 5)))
    end
  end
  return flying, acknowledged
end

-- What the file holds -------------------------------------------------------------------------------------------------

local function by_name(rows)
  local out = {}
  for _, row in ipairs(rows) do out[row.name] = row.head_version_id end
  return out
end

-- Takes over what the killed writer was at, where it is there: a head or a tag that differs from what was acknowledged must be that.
local function resolve(store, model, flying)
  local heads, tags = by_name(assert(store:branches())), by_name(assert(store:tags()))
  if flying and (flying.name == "commit" or flying.name == "merge") then
    local head = heads[flying[1]]
    if head and head ~= model.heads[flying[1]] then
      local version = assert(store:get_version(head))
      assert.equal("state " .. flying[2], version.description)
      if flying.name == "commit" then assert.equal(model.heads[flying[1]], version.parent_version_id) else assert.truthy(version.merge_parent_id) end
      done[flying.name](model, flying, head)
    end
  elseif flying and flying.name == "branch" and heads[flying[1]] then
    done.branch(model, flying, model.heads.main)
  elseif flying and flying.name == "delete_branch" and not heads[flying[1]] then
    done.delete_branch(model, flying)
  elseif flying and flying.name == "tag" and tags[flying[1]] ~= model.tags[flying[1]] then
    done.tag(model, flying, model.heads.main)
  end
  assert.same(model.heads, heads)
  assert.same(model.tags, tags)
end

local function check_state(store, model, id)
  local state = assert(store:get_state(id))
  local n = model.numbers[id]
  if n then assert.equal(content.same(content.version_state(n)), content.same(state)) end
end

local function check(path, model, flying)
  local m = assert(iu.open(path, { log_level = "error", plugins = { temporal_store = content.versions_config } }))
  local store = m.temporal_store
  resolve(store, model, flying)
  local report = assert(store:verify())
  assert.equal(0, report.stateless)
  for _, id in pairs(model.heads) do check_state(store, model, id) end
  for _, id in pairs(model.tags) do check_state(store, model, id) end
  for i = #model.main, math.max(1, #model.main - content.VERSIONS_KEPT + 1), -1 do check_state(store, model, model.main[i]) end
  -- And it can go on from there.
  local id = assert(store:commit_version({ after = "a crash" }, nil, { branch = "main", expected_parent = model.heads.main or "" }))
  assert.same({ after = "a crash" }, assert(store:get_state(id)))
  assert(m:shutdown())
  killing.integrity(path)
  return report.versions
end

describe("a process killed while it writes a history", function()
  it("leaves one that verifies, with all that was acknowledged", function()
    print("# crash_versions_spec: IU_TEST_SEED=" .. SEED)
    math.randomseed(SEED)
    local path, model, sum, unfinished, versions = killing.new_path("versions"), new_model(), 0, {}, 0
    for round = 1, KILLS do
      local wanted = math.random(0, 90)
      local lines, killed = killing.run(("versioner.lua '%s' %d %d %d"):format(path, FOLD_BYTES, round, math.random(1 << 30)), function(line, lines)
        if line and #lines >= wanted then return math.random() * 0.008 end
      end)
      assert.is_true(killed, table.concat(lines, "\n"))
      local flying, acknowledged = hear(model, lines)
      sum = sum + acknowledged
      if flying then unfinished[flying.name] = (unfinished[flying.name] or 0) + 1 end
      -- A copy is looked at, so that the next writer, too, opens what a killed one has left.
      local copy = killing.copy_of(path)
      versions = check(copy, model, flying)
      killing.remove(copy)
    end
    assert.is_true(sum > KILLS * 5, "too little happened: " .. sum)
    for _, name in ipairs { "commit", "branch", "merge", "tag", "delete_branch", "prune" } do
      assert.is_true(SANITIZED or (model.seen[name] or 0) > 0, name .. " never happened")
    end
    assert.is_true(SANITIZED or (unfinished.commit or 0) > 0, "no kill met a commit")
    local parts = {}
    for name, count in pairs(unfinished) do parts[#parts + 1] = ("%s %d"):format(name, count) end
    table.sort(parts)
    print(("# %d kills, %d calls acknowledged, %d versions at the end; killed inside: %s"):format(KILLS, sum, versions, table.concat(parts, ", ")))
    killing.remove(path)
  end)
end)
