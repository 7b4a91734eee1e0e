-- A process that is killed (SIGKILL) while it copies a universe's file, changes the copy, or publishes it: the file always opens, and is entirely of one
-- generation: the one that was published last, or the one that was being published. Nothing that it left beside the file is in the way of the next.
--
-- crash/reshaper.lua is the process that dies. IU_TEST_SEED repeats a run's choices (not its timing).

local content = require "crash.reshaped"
local killing = require "crash.killing"

local SANITIZED = os.getenv("INNER_UNIVERSE_TEST_SANITIZED") == "1"
local KILLS = SANITIZED and 6 or 36

local SEED = math.tointeger(tonumber(os.getenv("IU_TEST_SEED"))) or os.time()

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

describe("a process killed while it works on a copy of a universe", function()
  it("leaves the file as it was, or as it was being published", function()
    print("# crash_working_copy_spec: IU_TEST_SEED=" .. SEED)
    math.randomseed(SEED)
    local path = killing.new_path("reshape")
    content.build(path)
    local generation, met, left = 1, {}, 0
    for _ = 1, KILLS do
      local wanted = math.random(0, 14)
      local stop_at = ({ "copying", "copied", "changed", "publishing", "publishing", "publishing" })[math.random(6)]
      local lines, killed = killing.run(("reshaper.lua '%s'"):format(path), function(line, lines)
        if line and #lines >= wanted and line:find(stop_at, 1, true) == 1 then return math.random() * (stop_at == "publishing" and 0.03 or 0.004) end
      end)
      assert.is_true(killed, table.concat(lines, "\n"))
      local publishing
      for _, line in ipairs(lines) do
        local word, n = line:match("^(%a+) ?(%d*)$")
        assert.is_not_nil(word, line)
        if word == "publishing" then publishing = math.tointeger(n) end
        if word == "published" then generation, publishing = math.tointeger(n), nil end
      end
      local last = lines[#lines] and lines[#lines]:match("^%a+") or "start"
      met[last] = (met[last] or 0) + 1
      if exists(path .. ".iu-work") then left = left + 1 end
      -- A copy is looked at, so that the next process, too, finds what a killed one has left.
      local copy = killing.copy_of(path)
      local found = content.check(copy)
      killing.integrity(copy)
      killing.remove(copy)
      if found ~= generation then
        assert.equal(publishing, found)
        generation = found
        met.unanswered = (met.unanswered or 0) + 1
      end
    end
    assert.is_true(SANITIZED or generation > 10, "too little happened: " .. generation)
    assert.is_true(SANITIZED or (met.publishing or 0) > 3, "no kill met a publish")
    assert.is_true(left > 0, "no kill left a copy behind")
    assert.equal(generation, content.check(path))
    local parts = {}
    for name, count in pairs(met) do parts[#parts + 1] = ("%s %d"):format(name, count) end
    table.sort(parts)
    print(("# %d kills, %d generations; killed after: %s; %d copies left behind"):format(KILLS, generation, table.concat(parts, ", "), left))
    killing.remove(path)
    os.execute(("rm -f '%s'.iu-work*"):format(path))
  end)
end)
