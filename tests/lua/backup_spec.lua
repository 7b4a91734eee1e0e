-- manager:backup while the universe is in use, and `iu backup`: what is in the copy, what is refused, and that nothing is left of a copy that ended early.
-- sanitizers: skip (it starts other programs, which are not built for that)

local iu = require("inner_universe")
local core = require("inner_universe.core")
local command = require("command")
local support = require("support")

local quote = command.quote

local function is_error(kind, text, value, err)
  assert.is_nil(value)
  assert.equal(kind, err and err.kind)
  assert.truthy(err.message:find(text, 1, true), err.message)
end

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

describe("a backup", function()
  local folder, path, copy, manager

  before_each(function()
    folder = support.folder()
    path, copy = folder .. "/world.universe", folder .. "/copy.universe"
    manager = assert(iu.open(path))
    for i = 1, 50 do assert(manager:create_entity("Person", { name = "n" .. i, properties = { text = ("x"):rep(2000) } }, "p" .. i)) end
  end)

  after_each(function()
    if manager then assert(manager:shutdown()) end
    manager = nil
    support.clean()
  end)

  local function ids(where)
    local other = assert(iu.open(where))
    local found = {}
    for _, entity in ipairs(assert(other:query_entities({}))) do found[entity.id] = true end
    local recovered = other:status().connection.recovered
    assert(other:shutdown())
    return found, recovered
  end

  local function nothing_left()
    assert.is_false(exists(copy))
    assert.is_false(exists(copy .. ".iu-backup"))
    assert.is_false(exists(copy .. ".lock"))
  end

  it("is a universe with all that was acknowledged, of the same owner", function()
    assert.is_true(manager:backup(copy))
    assert(manager:create_entity("Person", {}, "later"))
    local found, recovered = ids(copy)
    assert.is_true(found.p1 and found.p50)
    assert.is_nil(found.later)
    assert.is_false(recovered)
    local other = assert(iu.connect(copy))
    assert.is_true(other:is_owner())
    assert.equal(manager:status().connection.owner, other:status().owner)
    assert(other:close())
    for _, suffix in ipairs({ ".iu-backup", ".lock", "-wal", "-shm" }) do assert.is_false(exists(copy .. suffix), suffix) end
  end)

  it("goes on while others write, and tells how far it is", function()
    local told = {}
    iu.run(function()
      local writer = iu.spawn(function()
        for i = 1, 300 do
          assert(manager:create_entity("Person", {}, "w" .. i))
          if i % 10 == 0 then iu.sleep(0) end
        end
        return true
      end)
      assert.is_true(manager:backup(copy, { progress = function(done, total) told[#told + 1] = { done, total } end }))
      assert(writer:wait(10))
    end)
    local last = told[#told]
    assert.equal(last[2], last[1])
    assert.equal(last[1], #read(copy))
    assert.is_true(ids(copy).p50)
    assert.equal("ok", assert(core.sql(copy, "PRAGMA integrity_check")).rows[1][1])
  end)

  it("does not replace a file unless it is told to, and only a universe that is closed", function()
    assert.is_true(manager:backup(copy))
    local before = read(copy)
    is_error("ValidationError", "is there already", manager:backup(copy))
    assert.equal(before, read(copy))
    assert(manager:create_entity("Person", {}, "later"))
    assert.is_true(manager:backup(copy, { overwrite = true }))
    assert.is_true(ids(copy).later)
    local other = assert(iu.open(copy))
    is_error("UniverseLockedError", "already open in this process", manager:backup(copy, { overwrite = true }))
    assert(other:shutdown())
    local text = folder .. "/letter.txt"
    support.write(text, ("Dear all\n"):rep(50))
    is_error("StorageError", "not a universe", manager:backup(text, { overwrite = true }))
    assert.equal(("Dear all\n"):rep(50), read(text))
    support.write(copy .. "-wal", "left behind")
    is_error("StorageError", "not closed properly", manager:backup(copy, { overwrite = true }))
    is_error("ValidationError", "the file itself", manager:backup(path, { overwrite = true }))
    assert(os.execute(("ln %s %s"):format(quote(path), quote(folder .. "/hard"))))
    is_error("ValidationError", "the file itself", manager:backup(folder .. "/hard", { overwrite = true }))
  end)

  it("says what is wrong with a target and with options", function()
    is_error("StorageError", "folder does not exist", manager:backup(folder .. "/none/copy"))
    is_error("StorageError", "is a folder", manager:backup(folder))
    is_error("ValidationError", "zero byte", manager:backup("a\0b"))
    is_error("ValidationError", "did you mean 'overwrite'", manager:backup(copy, { overwite = true }))
    assert.has_error(function() manager:backup(7) end)
    nothing_left()
  end)

  it("leaves nothing behind when its task is cancelled, its function raises, or its time is over", function()
    iu.run(function()
      local task
      task = iu.spawn(function() return manager:backup(copy, { progress = function() task:cancel() end }) end)
      task:wait(10)
      iu.sleep(0.1)
    end)
    -- one slice may have been all of it
    os.remove(copy)
    nothing_left()
    os.remove(copy)
    local ok, raised = pcall(manager.backup, manager, copy, { progress = function() error("enough", 0) end })
    assert.is_false(ok)
    assert.truthy(tostring(raised):find("enough", 1, true))
    os.remove(copy)
    is_error("TimeoutError", "1e-09 s", manager:backup(copy, { timeout = 1e-9 }))
    nothing_left()
  end)

  it("removes what one that was killed left", function()
    support.write(copy .. ".iu-backup", "half a file")
    assert.is_true(manager:backup(copy))
    assert.is_false(exists(copy .. ".iu-backup"))
    assert.is_true(ids(copy).p1)
  end)

  it("is the owner's, of a file", function()
    local conn = assert(iu.connect("memory:"))
    is_error("ValidationError", "has no file", conn:backup(copy))
    assert(conn:close())
    conn = assert(iu.connect(folder .. "/another.universe"))
    is_error("AuthorizationError", "owner", assert(conn:session()):backup(copy))
    assert(conn:close())
  end)

  describe("by the command", function()
    it("copies a closed file, and one that was not closed properly, without a change to it", function()
      assert(manager:shutdown())
      manager = nil
      local before = read(path)
      local run = command.iu(("backup %s %s"):format(quote(path), quote(copy)))
      assert.equal(0, run.status, run.err)
      assert.equal(before, read(path))
      assert.is_true(ids(copy).p50)

      local killed = command.write(folder .. "/killed.lua", ([[
        local iu = require "inner_universe"
        local m = assert(iu.open(%q))
        assert(m:create_entity("Person", {}, "unfolded"))
        assert(m:flush())
        os.execute("kill -9 " .. io.open("/proc/self/stat"):read("n"))
      ]]):format(path))
      command.iu("run " .. quote(killed))
      assert.is_true(exists(path .. "-wal"))
      local main, log = read(path), read(path .. "-wal")
      run = command.iu(("backup %s %s --overwrite"):format(quote(path), quote(copy)))
      assert.equal(0, run.status, run.err)
      assert.equal(main, read(path))
      assert.equal(log, read(path .. "-wal"))
      assert.is_true(ids(copy).unfolded)
    end)

    it("says who has the file, and what is there already", function()
      local run = command.iu(("backup %s %s"):format(quote(path), quote(copy)))
      assert.equal(1, run.status)
      assert.truthy(run.err:find("is open in process", 1, true), run.err)
      assert.truthy(run.err:find("manager:backup", 1, true), run.err)
      nothing_left()
      assert(manager:shutdown())
      manager = nil
      support.write(copy, "")
      assert.equal(0, command.iu(("backup %s %s"):format(quote(path), quote(copy))).status) -- an empty file keeps the name
      run = command.iu(("backup %s %s"):format(quote(path), quote(copy)))
      assert.equal(1, run.status)
      assert.truthy(run.err:find("is there already", 1, true), run.err)
      assert.equal(1, command.iu(("backup %s %s"):format(quote(folder .. "/none"), quote(copy))).status)
    end)
  end)
end)
