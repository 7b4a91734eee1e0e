-- The commands that read, by one who may not write the universe's folder: an archive, a read-only mount. As root they run as somebody else, else in a folder
-- without the right to write.
-- sanitizers: skip (it starts other programs, which are not built for that)

local iu = require "inner_universe"
local command = require "command"

local quote = command.quote
local ROOT = command.line("id -u") == "0"
local AS = ROOT and "setpriv --reuid=65534 --regid=65534 --clear-groups " or ""

-- Where that user finds no command, or the program is not there: said instead of tested.
local IU = AS .. quote(command.root .. "/scripts/iu")
local possible = command.sh(IU .. " --version").status == 0
local when_possible = possible and it or function(name) pending(name .. " (no other user can run iu here)") end

describe("one who may only read the folder", function()
  local folder, archive, path, place

  before_each(function()
    folder = command.line("env -u TMPDIR mktemp -d") -- the runner's own is closed to others
    archive, place = folder .. "/archive", folder .. "/place"
    path = archive .. "/world.universe"
    command.sh(("chmod 755 %s; mkdir -m 755 %s; mkdir -m 777 %s"):format(folder, archive, place))
  end)
  after_each(function() command.sh(("chmod 755 %s; rm -rf %s"):format(archive, folder)) end)

  local function run(words)
    return command.sh(IU .. " " .. words:gsub("@", path))
  end

  local function close_folder()
    command.sh(("chmod a+r %s*; chmod 555 %s"):format(path, archive))
  end

  local function fill()
    local manager = assert(iu.open(path))
    for i = 1, 3 do assert(manager:create_entity("Person", { name = "p" .. i })) end
    assert(manager:commit_version({ a = 1 }, "first"))
    return manager
  end

  local COUNT = [[query @ "SELECT count(*) AS n FROM entity"]]

  -- A copy, read through the back door.
  local function people(target)
    local conn <close> = assert(iu.connect(target))
    return #assert(conn:query("SELECT * FROM entity"))
  end

  local function reads_all()
    for _, words in ipairs { "info @", "check @", "verify @", "log @", "export @ " .. place .. "/x.jsonl", "export @ -",
      ("copy @ %s/copy.universe --verify"):format(place), "migrate status @" } do
      local done = run(words)
      assert.equal(0, done.status, words .. ": " .. done.err)
    end
    assert.equal(3, people(place .. "/copy.universe"))
    command.sh(("rm -f %s/*"):format(place))
  end

  when_possible("reads one that was closed with every command, and leaves nothing beside it", function()
    assert(fill():shutdown())
    close_folder()
    reads_all()
    assert.equal("n\n3\n", run(COUNT).out)
    local done = run(("backup @ %s/b.universe"):format(place))
    assert.equal(0, done.status, done.err)
    assert.equal(3, people(place .. "/b.universe"))
    assert.equal("world.universe", command.line("ls " .. archive .. " | tr '\\n' ' '"):match("^(.-) *$"))
    -- a lock file that a killed process left says nothing where everything is in order
    command.sh("chmod 755 " .. archive)
    command.write(path .. ".lock", "999999999\n")
    close_folder()
    assert.equal("n\n3\n", run(COUNT).out)
    done = run("compact @")
    assert.equal(1, done.status)
    assert.matches("the folder .* cannot be written", done.err)
  end)

  when_possible("is told who has it open, and reads it as of one moment", function()
    local manager <close> = fill()
    assert(manager:flush())
    close_folder()
    reads_all()
    local mine = ("is open in process %s"):format(io.open("/proc/self/stat"):read("n"))
    for _, words in ipairs { COUNT, ("backup @ %s/b.universe"):format(place), "compact @" } do
      local done = run(words)
      assert.equal(1, done.status)
      assert.truthy(done.err:find(mine, 1, true), words .. ": " .. done.err)
    end
  end)

  when_possible("reads one whose process was killed, and is told what to do where that cannot be", function()
    command.write(folder .. "/killed.lua", ([[
      local m = assert(require("inner_universe").open(%q))
      for i = 1, 3 do assert(m:create_entity("Person", { name = "p" .. i })) end
      assert(m:commit_version({ a = 1 }, "first"))
      assert(m:flush())
      os.execute("kill -9 " .. io.open("/proc/self/stat"):read("n"))
      while true do end]]):format(path))
    assert.equal(137, command.iu("run " .. folder .. "/killed.lua").status)
    close_folder()
    reads_all()
    local done = run(COUNT)
    assert.equal(1, done.status)
    assert.truthy(done.err:find("was not closed properly, and cannot be brought in order from here; `iu backup` makes a copy of it that can be asked", 1, true),
      done.err)
    assert.equal(0, run(("backup @ %s/b.universe"):format(place)).status)
    done = run((COUNT:gsub("@", place .. "/b.universe")))
    assert.equal("n\n3\n", done.out, done.err)
    -- The log without its index: only one who may write can read it.
    command.sh(("chmod 755 %s; rm -f %s-shm"):format(archive, path))
    close_folder()
    for _, words in ipairs { "info @", "check @", "log @", ("backup @ %s/c.universe"):format(place), ("copy @ %s/copy.universe"):format(place) } do
      done = run(words)
      assert.equal(1, done.status)
      assert.truthy(done.err:find("was not closed properly: somebody who may write it and its folder has to open it once", 1, true), words .. ": " .. done.err)
    end
    assert.is_false(command.exists(place .. "/c.universe"))
  end)
end)
