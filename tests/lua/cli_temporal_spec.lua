-- `iu log`, `iu diff`, `iu show`, `iu blame`, `iu verify`: versions of a file as a shell user meets them; the file is only read.
-- sanitizers: skip (it starts other programs, which are not built for that)

local iu = require "inner_universe"
local command = require "command"
local spacetimedb = require "spacetimedb"

local quote = command.quote

local SECOND = "the second\n\nwith more\tto say \27[31m"

describe("iu, of versions:", function()
  local folder, file, first, second, side, held

  setup(function()
    folder = command.folder()
    file = folder .. "/world.universe"
    local manager = assert(iu.open(file))
    local store = manager.temporal_store
    local long = ("x"):rep(300)
    first = assert(store:commit_version({ name = "Ada", score = 1, items = { { id = "a", n = 1 }, { id = "b", n = 2 } }, none = iu.array {}, note = long },
      "the first", { author = "ada" }))
    second = assert(store:commit_version({ name = "Ada", score = 2.5, items = { { id = "z" }, { id = "a", n = 1 }, { id = "b", n = 2 } }, none = iu.array {},
      note = long }, SECOND, { author = "bob", tags = { "stable" } }))
    assert(store:tag("v1.0", first))
    assert(store:branch("side", first))
    side = assert(store:commit_version({ name = "Eve" }, "beside", { branch = "side" }))
    assert(manager:shutdown())
    held = command.read(file)
  end)

  teardown(function()
    os.execute("rm -rf " .. quote(folder))
  end)

  local function iu_of(words)
    local run = command.iu((words:gsub("FILE", (quote(file):gsub("%%", "%%%%")))))
    return run
  end

  local function printed(words)
    local run = iu_of(words)
    assert.equal(0, run.status, run.err)
    assert.equal("", run.err)
    return run.out
  end

  local function refused(words, text)
    local run = iu_of(words)
    assert.equal(1, run.status, run.out)
    assert.equal("", run.out)
    assert.matches("^iu: [^\n]+\n$", run.err)
    assert.truthy(run.err:find(text, 1, true), run.err)
  end

  local function on_terminal(words, environment)
    local line = ("%s %s/scripts/iu %s"):format(environment or "", quote(command.root), (words:gsub("FILE", quote(file))))
    local run = command.sh(("script -qec %s /dev/null"):format(quote(line)))
    assert.equal(0, run.status, run.err .. run.out)
    return (run.out:gsub("\r", ""))
  end

  local function has_script()
    return command.sh("command -v script").status == 0
  end

  it("log tells the versions, the youngest first", function()
    local text = printed("log FILE")
    assert.matches(("^version %s %%(main%%)\nauthor  bob\ntags    stable\ntime    %%d%%d%%d%%d%%-%%d%%d%%-%%d%%d %%d%%d:%%d%%d:%%d%%d%%.%%d+Z\n"):format(
      (second:gsub("%-", "%%-"))), text)
    assert.truthy(text:find("\n\n    the second\n    \n    with more to say ?[31m\n\nversion " .. first .. " (", 1, true), text)
    assert.truthy(text:find("tag v1.0)\nauthor  ada\n", 1, true), text)
    assert.falsy(text:find("\27", 1, true), "terminal codes")
  end)

  it("log takes a branch, a limit and a path", function()
    local text = printed("log FILE --branch side --limit 1")
    assert.truthy(text:find("version " .. side .. " (side)", 1, true), text)
    assert.truthy(text:find("... and older ones (--limit)", 1, true), text)
    assert.falsy(text:find(first, 1, true), text)
    assert.falsy(printed("log FILE --limit 2"):find("older ones", 1, true))
    text = printed("log FILE --path score --json")
    local list = assert(iu.json.decode(text))
    assert.equal(2, #list)
    list = assert(iu.json.decode(printed("log FILE --path items.0.id --limit 1 --json")))
    assert.equal(second, list[1].version_id)
    assert.equal(SECOND, list[1].description)
    assert.equal(first, list[1].parent_version_id)
    refused("log FILE --branch sied", "no branch is called sied (there is main, side)")
    assert.equal(2, iu_of("log FILE --limit 0").status)
  end)

  it("log says that there is nothing yet", function()
    local empty = folder .. "/empty.universe"
    assert(assert(iu.open(empty)):shutdown())
    local run = command.iu("log " .. quote(empty))
    assert.equal("branch main has no versions yet\n", run.out)
    assert.equal("[]\n", command.iu("log --json " .. quote(empty)).out)
  end)

  it("show prints a state exactly, or a part of it", function()
    assert.equal("2.5\n", printed("show FILE main score"))
    assert.equal("[]\n", printed("show FILE v1.0 none"))
    assert.equal('[\n  {\n    "id": "a",\n    "n": 1\n  },\n  {\n    "id": "b",\n    "n": 2\n  }\n]\n', printed("show FILE v1.0 items"))
    assert.equal('{"id":"z"}\n', printed("show FILE " .. second .. " items.0 --json"))
    assert.equal('{\n  "name": "Eve"\n}\n', printed("show FILE side"))
    local manager <close> = assert(iu.open(file, { snapshot = true }))
    local state = assert(manager.temporal_store:get_state(first))
    assert.equal(iu.json.hash(state), iu.json.hash(assert(iu.json.decode(printed("show FILE v1.0")))))
  end)

  it("show says what is not there", function()
    refused("show FILE nowhere", "no version, branch or tag is called nowhere")
    refused("show FILE main items.7", "index 7 is past the end of an array of 3")
    refused("show FILE main a..b", "empty segment")
  end)

  it("diff tells what came, went and changed", function()
    assert.equal('~ score: 1 -> 2.5\n+ items[0]: {"id":"z"}\n', (printed("diff FILE v1.0 main"):gsub("^(%+[^\n]*\n)(~[^\n]*\n)$", "%2%1")))
    assert.equal("", printed("diff FILE main " .. second))
    local operations = assert(iu.json.decode(printed("diff --json FILE v1.0 main")))
    local manager <close> = assert(iu.open(file, { snapshot = true }))
    local store = manager.temporal_store
    assert.is_true(iu.diff.equal(store:get_state(second), assert(iu.diff.apply(store:get_state(first), operations))))
    local by_index = printed("diff --json --by-index FILE v1.0 main")
    assert.truthy(by_index:find('"items.0', 1, true) or by_index:find('"op":"patch"', 1, true), by_index)
    assert.not_equal(printed("diff --json FILE v1.0 main"), by_index)
    refused("diff FILE v1.0 v2.0", "no version, branch or tag is called v2.0")
    assert.equal(2, iu_of("diff FILE v1.0").status)
  end)

  it("prints colours on a terminal only, where they are wanted", function()
    if not has_script() then return pending("no program `script` here") end
    assert.truthy(on_terminal("diff FILE v1.0 main", "env -u NO_COLOR"):find("\27[33m~ score: 1 -> 2.5\27[0m\n", 1, true))
    assert.truthy(on_terminal("log FILE", "env -u NO_COLOR"):find("\27[33mversion " .. second .. "\27[0m", 1, true))
    for _, plain in ipairs({ on_terminal("diff --no-color FILE v1.0 main", "env -u NO_COLOR"), on_terminal("diff FILE v1.0 main", "env NO_COLOR=1"),
      on_terminal("log --no-color FILE"), printed("diff FILE v1.0 main") }) do
      assert.falsy(plain:find("\27", 1, true), plain)
    end
    assert.truthy(on_terminal("diff FILE v1.0 main", "env NO_COLOR="):find("\27[33m", 1, true), "an empty NO_COLOR is none")
  end)

  it("blame tells who changed each leaf", function()
    local lines = {}
    for line in printed("blame FILE ''"):gmatch("[^\n]+") do lines[#lines + 1] = line end
    assert.equal(9, #lines)
    local by_path = {}
    for _, row in ipairs(assert(iu.json.decode(printed("blame --json FILE ''")))) do by_path[row.path] = row end
    assert.equal(second, by_path["items.0.id"].version_id)
    assert.equal(first, by_path["items.1.id"].version_id)
    assert.equal("bob", by_path.score.author)
    assert.matches(("^%s %%S+ %%S+ bob  score: 2%%.5\n$"):format((second:gsub("%-", "%%-"))), printed("blame FILE score"))
    assert.matches("ada  score: 1\n$", printed("blame FILE score --version v1.0"))
    refused("blame FILE nothing", 'has nothing at path "nothing"')
  end)

  it("verify computes every hash anew", function()
    assert.matches("nothing is wrong; 3 versions, [%d.]+ kB of states\n$", printed("verify FILE"))
    local told = assert(iu.json.decode(printed("verify --json FILE")))
    assert.is_true(told.ok)
    assert.equal(3, told.versions)
  end)

  it("verify names the first version that differs", function()
    local broken = folder .. "/broken.universe"
    local manager = assert(iu.open(broken))
    local good = assert(manager:commit_version({ a = 1 }))
    local conn = manager.client:connection()
    local bad = iu.uuid()
    assert(conn:call("commit_state_version", good, "damaged", ("0"):rep(64), "main", "", {}, "{}", "", "", nil, nil,
      { { encoding = "json", data = '{"a":2}' } }, bad))
    assert(manager:shutdown())
    local run = command.iu("verify " .. quote(broken))
    assert.equal(1, run.status, run.out)
    assert.truthy(run.err:find("version " .. bad, 1, true), run.err)
    run = command.iu("verify --json " .. quote(broken))
    assert.equal(1, run.status)
    local told = assert(iu.json.decode(run.out))
    assert.is_false(told.ok)
    assert.equal(bad, told.version_id)
    assert.equal(1, command.iu(("show %s main"):format(quote(broken))).status)
  end)

  it("only reads, also while another process has the file open", function()
    for _, words in ipairs({ "log FILE", "diff FILE v1.0 main", "show FILE main", "blame FILE ''", "verify FILE" }) do printed(words) end
    assert.is_true(held == command.read(file), "the file changed")
    assert.is_false(command.exists(file .. ".lock"))
    local manager = assert(iu.open(folder .. "/open.universe"))
    local id = assert(manager:commit_version({ a = 1 }, "while it is open"))
    assert(manager:flush())
    local run = command.iu("show " .. quote(folder .. "/open.universe") .. " " .. id)
    assert.equal('{\n  "a": 1\n}\n', run.out, run.err)
    assert(manager:shutdown())
  end)

  it("reads a file that has tables of modules", function()
    local path = folder .. "/module.universe"
    local module = assert(iu.module("extra", { tables = { thing = { columns = { { "id", "u64" } }, primary_key = "id", public = true } } }))
    local manager = assert(iu.open(path, { module = module }))
    assert(manager:commit_version({ a = 1 }, "with a module"))
    assert(manager:shutdown())
    assert.truthy(command.iu("log " .. quote(path)).out:find("with a module", 1, true))
  end)

  it("reads the versions of a server, and writes none", function()
    if not (spacetimedb.address and spacetimedb.wasm) then return pending("no SpacetimeDB server here") end
    local name = spacetimedb.name()
    local token = spacetimedb.publish(name)
    local target = ("%s/%s"):format(spacetimedb.address, name)
    local manager = assert(iu.open(target, { token = token }))
    local one = assert(manager.temporal_store:commit_version({ a = 1, b = { 1, 2 } }, "one", { author = "ada" }))
    local two = assert(manager.temporal_store:commit_version({ a = 2, b = { 1, 2 } }, "two", { author = "bob" }))
    local function there(words)
      local run = command.sh(("XDG_STATE_HOME=%s %s/scripts/iu %s"):format(quote(folder), quote(command.root), (words:gsub("SERVER", target))))
      assert.equal(0, run.status, run.err)
      return run.out
    end
    assert.truthy(there("log SERVER"):find("version " .. one, 1, true))
    assert.equal(("~ a: 1 -> 2\n"), there(("diff SERVER %s main"):format(one)))
    assert.equal("[1,2]\n", there("show SERVER main b --json"))
    assert.matches(" bob  a: 2\n$", there("blame SERVER a"))
    assert.matches("nothing is wrong; 2 versions", there("verify SERVER"))
    assert.equal(two, manager.temporal_store:get_current_version().version_id)
    assert(manager:shutdown())
    spacetimedb.discard(name, token)
  end)

  it("ends in order where a standard stream is closed", function()
    local line = ("%s/scripts/iu log %s "):format(quote(command.root), quote(file))
    for _, case in ipairs { { "<&-", 0 }, { "2>&-", 0 }, { ">&-", 1 }, { "<&- >&- 2>&-", 1 } } do
      local run = command.sh(line .. case[1])
      assert.equal(case[2], run.status, case[1] .. ": " .. run.err)
      if case[1] == ">&-" then assert.equal("iu: standard output: Bad file descriptor\n", run.err) end
    end
  end)

  it("says which file or server is not there", function()
    for _, name in ipairs({ "log", "verify" }) do
      local run = command.iu(name .. " " .. quote(folder .. "/missing"))
      assert.equal(1, run.status)
      assert.matches("^iu: .*missing: No such file", run.err)
    end
    assert.equal(1, command.iu("log memory:").status)
    local run = command.iu("log ws://127.0.0.1:1/world")
    assert.equal(1, run.status, run.out)
    assert.matches("^iu: ", run.err)
    assert.is_false(command.exists(folder .. "/missing"))
  end)
end)
