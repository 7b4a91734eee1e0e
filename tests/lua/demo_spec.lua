-- The demo proves what it says: it passes on its own file, again when started again, and fails when anything differs from the source.
-- sanitizers: skip (it starts other programs, which are not built for that)

local iu = require "inner_universe"
local command = require "command"

local quote = command.quote
local DATA = "/usr/share/iso-codes/json"

describe("the demo", function()
  local folder, file

  setup(function()
    folder = command.folder()
    file = folder .. "/demo.universe"
  end)

  teardown(function()
    os.execute("rm -rf " .. quote(folder))
  end)

  local installed = command.exists(DATA .. "/iso_3166-1.json")

  local function demo(options)
    return command.iu("demo " .. options)
  end

  local function check(path, options)
    return demo(("--check %s %s"):format(quote(path), options or ""))
  end

  -- A copy of the universe, changed by fn.
  local function changed(name, fn)
    local path = folder .. "/" .. name
    assert(os.execute(("cp %s %s"):format(quote(file), quote(path))))
    fn(path)
    return path
  end

  local function fails(run, what)
    assert.equal(1, run.status, run.out .. run.err)
    local line = run.out:match("\n?  FAIL [^\n]*" .. what .. "[^\n]*\n")
    assert.truthy(line, run.out)
  end

  it("imports about 14,000 entries and finds them all again, started twice", function()
    if not installed then return pending("iso-codes is not installed") end
    for _ = 1, 2 do
      local run = demo("--file " .. quote(file))
      assert.equal(0, run.status, run.out .. run.err)
      assert.equal("", run.err)
      assert.falsy(run.out:find("FAIL", 1, true), run.out)
      assert.falsy(run.out:find("\27", 1, true), "terminal codes in a pipe")
      local entities = run.out:match("imported ([%d,]+) entities")
      assert.is_true(tonumber((entities:gsub(",", ""))) > 13000, run.out)
      for _, line in ipairs({ "ok   every entity equals its entry", "ok   every relation", "ok   the log tells", "ok   both versions have",
        "ok   the event handler heard each event once", "ok   the entity callback heard each change once" }) do
        assert.truthy(run.out:find(line, 1, true), run.out)
      end
      assert.truthy(run.out:find("The universe is " .. file, 1, true), run.out)
    end
    local query = command.iu(("query %s \"SELECT json_extract(metadata, '$.properties.capital') AS c FROM entity WHERE id = 'country:CH'\""):format(
      quote(file)))
    assert.equal("c\nBern\n", query.out, query.err)
  end)

  it("answers questions rightly", function()
    if not installed then return pending("iso-codes is not installed") end
    local run = demo("--file " .. quote(file))
    for _, answer in ipairs({ "Finistère, in Bretagne, in France", "WIR Euro; Swiss Franc; WIR Franc", "United Arab Emirates; United Kingdom;" }) do
      assert.truthy(run.out:find(answer, 1, true), run.out)
    end
  end)

  it("asks sqlite3 and python3 too where they are", function()
    if not installed then return pending("iso-codes is not installed") end
    local run = check(file)
    assert.equal(0, run.status, run.out .. run.err)
    for tool, line in pairs({ sqlite3 = "the sqlite3 command finds the same", python3 = "python3 makes the same hashes" }) do
      local there = command.sh(("command -v %s"):format(tool)).status == 0
      assert.truthy(run.out:find((there and "ok   " or "--   ") .. line, 1, true), run.out)
    end
  end)

  it("says so, and does not fail, when sqlite3 and python3 are missing", function()
    if not installed then return pending("iso-codes is not installed") end
    os.execute(("mkdir -p %s/bin"):format(quote(folder)))
    for _, tool in ipairs({ "sh", "env", "lua5.4", "readlink" }) do
      os.execute(("ln -sf $(command -v %s) %s/bin/"):format(tool, quote(folder)))
    end
    local run = command.sh(("PATH=%s/bin %s/scripts/iu demo --check %s"):format(quote(folder), quote(command.root), quote(file)))
    assert.equal(0, run.status, run.out .. run.err)
    assert.truthy(run.out:find("sqlite3 is not installed (left out)", 1, true), run.out)
    assert.truthy(run.out:find("python3 is not installed (left out)", 1, true), run.out)
  end)

  describe("fails when", function()
    local function with_manager(fn)
      return function(path)
        local manager <close> = assert(iu.open(path))
        fn(manager)
        assert(manager:shutdown())
      end
    end

    it("an entity has changed", function()
      if not installed then return pending("iso-codes is not installed") end
      fails(check(changed("entity.universe", with_manager(function(manager)
        local metadata = assert(manager:get_entity("language:eng")).metadata
        metadata.properties.scope = "i"
        assert(manager:update_entity("language:eng", metadata))
      end))), "every entity.*language:eng")
    end)

    it("an entity or a relation is there that should not be", function()
      if not installed then return pending("iso-codes is not installed") end
      local run = check(changed("more.universe", with_manager(function(manager)
        assert(manager:create_entity("Country", { name = "Utopia" }, "country:XU"))
        assert(manager:create_relation("country:XU", "country:CH", "NEXT_TO"))
      end)))
      fails(run, "every entity")
      fails(run, "every relation")
      fails(run, "the log tells")
    end)

    it("a version was added", function()
      if not installed then return pending("iso-codes is not installed") end
      fails(check(changed("version.universe", with_manager(function(manager)
        assert(manager:commit_version({}, "one too many"))
      end))), "both versions")
    end)

    it("a source file says something else", function()
      if not installed then return pending("iso-codes is not installed") end
      local data = folder .. "/data"
      assert(os.execute(("cp -r %s %s"):format(DATA, quote(data))))
      local name = data .. "/iso_15924.json"
      local text, count = command.read(name):gsub('"Latin"', '"Latein"')
      assert.equal(1, count)
      command.write(name, text)
      local run = check(file, "--data " .. quote(data))
      fails(run, "every entity.*script:Latn")
      fails(run, "both versions")
    end)

    it("only what SQL sees has changed", function()
      if not installed then return pending("iso-codes is not installed") end
      if command.sh("command -v sqlite3").status ~= 0 then return pending("sqlite3 is not installed") end
      fails(check(changed("sql.universe", function(path)
        local run = command.sh(("sqlite3 %s \"UPDATE entity SET metadata = replace(metadata, 'English', 'Angle') WHERE id = 'language:eng'\""):format(
          quote(path)))
        assert.equal(0, run.status, run.err)
      end)), "sqlite3.*language:eng")
    end)

    it("there is nothing to import, telling how to get it", function()
      local run = demo(("--data %s --file %s"):format(quote(folder .. "/nowhere"), quote(folder .. "/none.universe")))
      assert.equal(1, run.status)
      assert.truthy(run.err:find("apt-get install iso-codes", 1, true), run.err)
      assert.is_false(command.exists(folder .. "/none.universe"))
    end)
  end)

  it("starts over only where a universe was, and none that is in use", function()
    if not installed then return pending("iso-codes is not installed") end
    local mine = command.write(folder .. "/precious.txt", "not a universe")
    local run = demo("--file " .. quote(mine))
    assert.equal(1, run.status)
    assert.matches("^iu: .*no universe file.*%-%-file", run.err)
    assert.equal("not a universe", command.read(mine))

    local used = folder .. "/used.universe"
    local manager = assert(iu.open(used))
    run = demo("--file " .. quote(used))
    assert(manager:shutdown())
    assert.equal(1, run.status)
    assert.truthy(run.err:find("is open in process", 1, true), run.err)
    assert.equal(1, demo("--file memory:").status)
  end)
end)
