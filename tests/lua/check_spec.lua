-- `iu check` and `iu compact`, what an open says of its recovery, `recover = "prefix"` and `snapshot`: files that were killed, and files whose
-- bytes were changed.
-- sanitizers: skip (it starts other programs, which are not built for that)

local iu = require("inner_universe")
local command = require("command")
local support = require("support")

local quote = command.quote

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

describe("a universe's file", function()
  local folder, path

  before_each(function()
    folder = support.folder()
    path = folder .. "/world.universe"
  end)
  after_each(support.clean)

  local function fill()
    local manager = assert(iu.open(path))
    assert(manager:create_entity("Person", { name = "Ada" }, "AAAAAAAAAAAA"))
    assert(manager:create_entity("Person", { name = "Bob" }, "BBBBBBBBBBBB"))
    assert(manager:create_relation("AAAAAAAAAAAA", "BBBBBBBBBBBB", "KNOWS", nil, "RRRRRRRR"))
    assert(manager:commit_version({ marker = "the state of all things" }, "one"))
    assert(manager:commit_version({ 1, 2.5, iu.null }, "two"))
    assert(manager:shutdown())
  end

  -- Runs a program on the universe that ends by SIGKILL, everything before flushed.
  local function killed(body)
    local script = command.write(folder .. "/killed.lua", ([[
      local iu = require "inner_universe"
      local m = assert(iu.open(%q))
      %s
      assert(m:flush())
      os.execute("kill -9 " .. io.open("/proc/self/stat"):read("n"))
    ]]):format(path, body))
    command.iu("run " .. quote(script))
  end

  local function checked(expected, ...)
    local before, locked = read(path), exists(path .. ".lock")
    local run = command.iu("check " .. quote(path))
    assert.equal(expected, run.status, run.out .. run.err)
    for _, text in ipairs({ ... }) do assert.truthy(run.out:find(text, 1, true), run.out .. run.err) end
    assert.equal(before, read(path))
    assert.equal(locked, exists(path .. ".lock"))
    return run
  end

  local function replace(from, to)
    assert.equal(#from, #to)
    local text, count = read(path):gsub(from:gsub("%W", "%%%0"), (to:gsub("%%", "%%%%")))
    assert.is_true(count > 0)
    write(path, text)
  end

  it("is found to be good, in words and as JSON", function()
    fill()
    checked(0, "nothing is wrong", "2 hashes compared")
    local result = assert(iu.json.decode(command.iu("check --json " .. quote(path)).out))
    assert.equal(0, result.errors)
    assert.equal(2, result.hashes)
    assert.is_true(result.closed_properly)
    assert.same({}, { table.unpack(result.findings) })
  end)

  local ARENA = {
    tables = {
      player = {
        columns = { { "id", "u64" }, { "name", "string" }, { "at", "Place" }, { "guild", "string?" } },
        primary_key = "id", auto_inc = "id", unique = { "name" },
      },
      spot = { columns = { { "x", "f32" }, { "y", "f32" }, { "marks", "[Mark]" } } },
    },
    types = { Place = { { "x", "f32" }, { "y", "f32" } }, Mark = { sum = { "none", { "seen", "Place" } } } },
    reducers = {
      spawn = { params = { { "name", "string" } }, run = function(ctx, name)
        ctx.db.player:insert { name = name, at = { x = 1, y = 2 } }
        ctx.db.spot:insert { x = 1, y = 2, marks = { "none", { tag = "seen", value = { x = 3, y = 4 } } } }
      end },
    },
  }

  local function play(nerv)
    local conn = assert(iu.connect(path, { module = assert(iu.module("arena", ARENA)), nerv = nerv }))
    assert(conn:call("spawn", "Ada Lovelace"))
    assert(conn:call("spawn", "Bob the builder"))
    assert(conn:close())
  end

  it("is found to be good with a module's tables in it, whatever their types", function()
    fill()
    play()
    local result = assert(iu.json.decode(command.iu("check --json " .. quote(path)).out))
    assert.same({ 0, 0, 2 }, { result.errors, result.warnings, result.hashes })
    assert.equal(18, result.tables)
    os.remove(path)
    play(false)
    result = assert(iu.json.decode(command.iu("check --json " .. quote(path)).out))
    assert.same({ 0, 0, 2 }, { result.errors, result.warnings, result.tables })
    assert.equal(3, result.rows)
  end)

  it("shows damage in a module's tables, and in NERV's beside them", function()
    fill()
    play()
    local whole = read(path)
    replace("Ada Lovelace", "Ada Lovelock")
    local text = read(path)
    write(path, (whole:gsub("Ada Lovelace", "Ada Lovelock", 1)))
    checked(1, "player: the row `1`: the column `name` is not what the row holds")
    write(path, text)
    checked(0)
    replace("AAAAAAAAAAAA\12\0\0\0BBBBBBBBBBBB", "AAAAAAAAAAAA\12\0\0\0BBBBBBBBBBBX")
    replace("AAAAAAAAAAAABBBBBBBBBBBB", "AAAAAAAAAAAABBBBBBBBBBBX")
    checked(1, "the relation `RRRRRRRR`: its to_entity `BBBBBBBBBBBX` does not exist")
  end)

  it("shows a text index that has not what its rows have", function()
    local manager = assert(iu.open(path))
    assert(manager:create_entity("Person", { name = "Ada", description = "countess of engines" }, "ada"))
    assert(manager:create_entity("Person", { name = "Bob" }, "bob"))
    assert.equal(1, #assert(manager:search_entities("countess")))
    assert(manager:shutdown())
    checked(0, "nothing is wrong")
    local whole = read(path)
    replace("Adacountess of engines", "Adacountess of engimes") -- what the index says that its texts are
    checked(1, "entity: the row `ada`: the text index does not have its texts", "entity: its text index: ")
    write(path, whole)
    replace("\1\8countess", "\1\8countesz") -- a word of the index itself
    checked(1, "entity: its text index: ")
  end)

  it("is checked while it is open, and as a killed process left it", function()
    fill()
    local manager = assert(iu.open(path))
    assert(manager:create_entity("Person", {}, "later"))
    assert(manager:flush())
    local run = command.iu("check " .. quote(path))
    assert.equal(0, run.status, run.out .. run.err)
    assert(manager:shutdown())
    killed("assert(m:create_entity('Person', {}, 'unfolded'))")
    local log = read(path .. "-wal")
    checked(0, "nothing is wrong")
    assert.equal(log, read(path .. "-wal"))
  end)

  it("is refused when it is none", function()
    assert.equal(1, command.iu("check " .. quote(folder .. "/none")).status)
    write(folder .. "/text", ("text "):rep(100))
    local run = command.iu("check " .. quote(folder .. "/text"))
    assert.equal(1, run.status)
    assert.truthy(run.err:find("no universe file", 1, true))
  end)

  it("shows a state that is not what its hash says", function()
    fill()
    local manager = assert(iu.open(path))
    local hash = manager.temporal_store:get_current_version().data_hash
    assert(manager:shutdown())
    replace(hash, (hash:sub(1, 1) == "0" and "1" or "0") .. hash:sub(2))
    checked(1, "1 error", "state_version: the state of version `", "and the version says")
  end)

  it("computes the tree hashes of what drafts committed", function()
    local manager = assert(iu.open(path))
    local live = assert(manager.temporal_store:track { list = { "entry 1" }, padding = ("x"):rep(4000) }) -- no snapshot is due
    local last
    for n = 2, 20 do
      last = assert(live:commit())
      live.list[n] = "entry " .. n
    end
    assert(manager:shutdown())
    checked(0, "nothing is wrong", "19 hashes compared")
    replace("entry 19", "entry 1x")
    checked(1, "1 error", "the state of version `" .. last .. "` has the hash", "and the version says")
  end)

  it("computes the hashes of states that are deltas, and shows what such a chain is broken by", function()
    local manager = assert(iu.open(path))
    local ids, state = {}, { list = {}, marker = "ZZZZ" }
    for n = 1, 70 do
      state.list[#state.list + 1] = ("entry %d"):format(n)
      state.count = n
      ids[n] = assert(manager:commit_version(state, "v" .. n))
      if n == 40 then -- another line, and a merge of both
        assert(manager.temporal_store:branch("side"))
        assert(manager.temporal_store:checkout("side"))
        assert(manager:commit_version({ list = state.list, marker = "changed", count = n }, "side"))
        assert(manager.temporal_store:checkout("main"))
      end
    end
    assert(manager.temporal_store:merge("side"))
    assert(manager:shutdown())
    checked(0, "nothing is wrong", "72 hashes compared")
    replace("entry 30", "entry 3x") -- in the delta, and in its readable column
    checked(1, "the state of version `" .. ids[30] .. "` has the hash", "and the version says")
  end)

  it("shows a relation whose end is missing", function()
    fill()
    replace("AAAAAAAAAAAA\12\0\0\0BBBBBBBBBBBB", "AAAAAAAAAAAA\12\0\0\0BBBBBBBBBBBX") -- in the row
    replace("AAAAAAAAAAAABBBBBBBBBBBB", "AAAAAAAAAAAABBBBBBBBBBBX") -- in the readable columns
    checked(1, "the relation `RRRRRRRR`: its to_entity `BBBBBBBBBBBX` does not exist")
  end)

  it("shows a readable column that is not what its row holds", function()
    fill()
    replace('{"name":"Ada"', '{"name":"Eve"')
    checked(1, "entity: the row `AAAAAAAAAAAA`: the column `metadata` is not what the row holds")
  end)

  it("shows damaged pages", function()
    fill()
    local text = read(path)
    write(path, text:sub(1, 8192) .. ("\255"):rep(4096) .. text:sub(12289))
    local run = command.iu("check " .. quote(path))
    assert.equal(1, run.status)
    assert.truthy((run.out .. run.err):find("damaged", 1, true) or run.out:find("SQLite: ", 1, true), run.out .. run.err)
  end)

  it("gets compact, and says by how much", function()
    local manager = assert(iu.open(path))
    for i = 1, 400 do assert(manager:create_entity("P", { properties = { text = ("x"):rep(2000) } }, "p" .. i)) end
    for i = 2, 400 do assert(manager:delete_entity("p" .. i)) end
    assert(manager:shutdown())
    local before = #read(path)
    local run = command.iu("compact " .. quote(path))
    assert.equal(0, run.status, run.err)
    assert.truthy(run.out:find("before", 1, true))
    assert.is_true(#read(path) < before)
    checked(0, "nothing is wrong")
    manager = assert(iu.open(path))
    assert(manager:get_entity("p1"))
    assert.equal(1, command.iu("compact " .. quote(path)).status)
    assert(manager:shutdown())
  end)

  describe("opened again", function()
    it("says that it was closed properly", function()
      fill()
      local manager = assert(iu.open(path))
      local recovery = manager:status().recovery
      assert.is_true(recovery.closed_properly)
      assert.equal(0, recovery.replayed_commits)
      assert.is_true(recovery.rows > 5)
      assert.is_nil(recovery.lost)
      assert(manager:shutdown())
    end)

    it("says what was replayed after a kill, in its status and in the log", function()
      fill()
      killed("for i = 1, 5 do assert(m:create_entity('Person', {}, 'k' .. i)) end")
      local run = command.iu("run " .. quote(command.write(folder .. "/open.lua", ([[
        local iu = require "inner_universe"
        iu.log.set_sink(function(level, message) io.stderr:write(level, ": ", message, "\n") end)
        local m = assert(iu.open(%q))
        print(iu.json.encode(m:status().recovery))
        assert(m:get_entity("k5"))
      ]]):format(path))))
      local recovery = assert(iu.json.decode(run.out), run.err)
      assert.is_false(recovery.closed_properly)
      assert.is_true(recovery.replayed_commits >= 5)
      assert.is_true(recovery.replayed_rows >= 10)
      assert.is_nil(recovery.lost)
      assert.truthy(run.err:find("recovered: it was not closed properly", 1, true), run.err)
      assert.truthy(run.err:find("nothing that was reported durable is lost", 1, true), run.err)
    end)
  end)

  describe("whose journal is damaged", function()
    -- Kills after a fold-free run, and flips a byte of the marked commit in the log.
    local function damaged()
      fill()
      killed([[
        assert(m:create_entity("Person", { name = "kept" }, "kept"))
        assert(m:flush())
        assert(m:create_entity("Person", { name = "DAMAGED-COMMIT" }, "lost1"))
        assert(m:flush())
        assert(m:create_entity("Person", { name = "after" }, "lost2"))
      ]])
      -- The log has checksums of its own: brought into the file first, where nothing watches a blob but the journal's.
      local lua = [[
        import sqlite3, sys
        db = sqlite3.connect(sys.argv[1]); db.execute("PRAGMA wal_checkpoint(TRUNCATE)"); rows = 0
        for first, frames in db.execute("SELECT first, frames FROM _iu_journal").fetchall():
            changed = frames.replace(b"DAMAGED-COMMIT", b"DAMAGED-COMMAT")
            if changed != frames:
                db.execute("UPDATE _iu_journal SET frames = ? WHERE first = ?", (changed, first)); rows += 1
        db.commit(); db.close(); assert rows == 1
      ]]
      write(folder .. "/damage.py", (lua:gsub("\n        ", "\n"):gsub("^%s+", "")))
      assert(os.execute(("python3 %s %s"):format(quote(folder .. "/damage.py"), quote(path))))
    end

    it("is refused with the range of commits, and nothing is changed", function()
      damaged()
      local before = read(path)
      local manager, err = iu.open(path)
      assert.is_nil(manager)
      assert.equal("StorageError", err.kind)
      assert.matches("commits %d+ to %d+ do not match their checksum %(commits %d+ to %d+ cannot be had", err.message)
      assert.equal(before, read(path))
      checked(1, "do not match their checksum")
    end)

    it("is opened by the commits before the damage when that is asked for, and the rest is set aside", function()
      damaged()
      local conn = assert(iu.connect(path, { recover = "prefix" }))
      assert(conn:get("entity", "kept"))
      assert.is_nil(conn:get("entity", "lost1"))
      assert.is_nil(conn:get("entity", "lost2"))
      local lost = conn:status().recovery.lost
      assert.is_true(lost.last > lost.first)
      assert.matches("do not match their checksum", lost.why)
      assert.is_true(exists(lost.file))
      assert.truthy(read(lost.file):find("DAMAGED-COMMAT", 1, true))
      assert(conn:call("create_entity", "Person", { tags = {}, properties = "{}" }, "goes on"))
      assert(conn:close())
      checked(0, "nothing is wrong")
      local manager = assert(iu.open(path, { recover = "prefix" }))
      assert(manager:get_entity("goes on"))
      assert.is_nil(manager:status().recovery.lost)
      assert(manager:shutdown())
    end)

    it("takes no other word for it", function()
      local conn, err = iu.connect(path, { recover = "all" })
      assert.is_nil(conn)
      assert.equal("ValidationError", err.kind)
    end)
  end)

  describe("as a snapshot", function()
    it("is in memory what the file holds, and leaves the file alone", function()
      fill()
      local before = read(path)
      local conn = assert(iu.connect(path, { snapshot = true }))
      assert.equal("Person", conn:get("entity", "AAAAAAAAAAAA").entity_type)
      assert.is_true(conn:is_owner())
      assert(conn:call("delete_entity", "AAAAAAAAAAAA", true))
      assert(conn:flush())
      assert(conn:close())
      assert.equal(before, read(path))
      local holder = assert(iu.connect(path))
      local second = assert(iu.connect(path, { snapshot = true })) -- also of one that is open
      assert(second:get("entity", "AAAAAAAAAAAA"))
      assert(second:close())
      assert(holder:close())
    end)

    it("needs a file", function()
      local conn, err = iu.connect(path, { snapshot = true })
      assert.is_nil(conn)
      assert.equal("StorageError", err.kind)
      assert.is_false(exists(path))
    end)
  end)
end)
