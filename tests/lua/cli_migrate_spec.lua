-- `iu migrate`: what a shell user meets: what is printed where, exit status, Ctrl-C.
-- sanitizers: skip (it starts other programs, which are not built for that)

local iu = require "inner_universe"
local command = require "command"
local spacetimedb = require "spacetimedb"

local quote = command.quote

local PEOPLE = [[return { description = "ten people", up = function(m)
  for i = 1, 10 do m:create_entity("Person", { properties = { n = i } }, "p" .. i) end
end, down = function(m)
  for i = 1, 10 do m:delete_entity("p" .. i) end
end }]]
local ONLINE = [[return { online = true, up = function(m)
  m:update_entities("Person", function(e) e.metadata.properties.n = e.metadata.properties.n * 2 return e.metadata end, { size = 3 })
end, down = function(m)
  m:update_entities("Person", function(e) e.metadata.properties.n = e.metadata.properties.n // 2 return e.metadata end)
end }]]

describe("iu migrate", function()
  local folder, file

  before_each(function()
    folder = command.folder()
    file = folder .. "/world.universe"
    assert(assert(iu.open(file)):shutdown())
    assert(os.execute("mkdir " .. quote(folder .. "/m")))
    command.write(folder .. "/m/0001_people.lua", PEOPLE)
    command.write(folder .. "/m/0002_online.lua", ONLINE)
  end)

  after_each(function() os.execute("rm -rf " .. quote(folder)) end)

  local function migrate(words)
    return command.iu(("migrate %s --folder %s"):format((words:gsub("FILE", (quote(file):gsub("%%", "%%%%")))), quote(folder .. "/m")))
  end

  local function printed(words)
    local run = migrate(words)
    assert.equal(0, run.status, run.err)
    assert.equal("", run.err)
    return run.out
  end

  local function refused(words, status, ...)
    local run = migrate(words)
    assert.equal(status, run.status, run.out .. run.err)
    for _, text in ipairs { ... } do assert.truthy(run.err:find(text, 1, true), run.err) end
    return run
  end

  local function person(id)
    local m = assert(iu.open(file))
    local found = m:get_entity(id)
    assert(m:shutdown())
    return found and found.metadata.properties.n
  end

  it("goes all the way up, and back", function()
    assert.matches("0001_people%s+pending.*0002_online%s+pending.*0 applied, 2 pending", printed("status FILE"))
    local plan = printed("plan FILE")
    assert.truthy(plan:find("0001_people up, one transaction: ten people\n   1. create entity Person (10 rows)\n0002_online up, online\n", 1, true), plan)
    assert.is_nil(person("p1"))
    local dry = printed("up FILE --dry-run")
    assert.matches("applied 0001_people: 10 steps, 0 rows.*applied 0002_online: 1 step, 10 rows.*nothing was changed %(%-%-dry%-run%)", dry)
    assert.is_nil(person("p1"))
    assert.matches("^applied 0001_people: 10 steps, 0 rows in %d+ %a+\n$", printed("up FILE --to 1"))
    assert.equal(3, person("p3"))
    assert.matches("^applied 0002_online: 1 step, 10 rows in %d+ %a+\n$", printed("up FILE"))
    assert.equal("there is nothing to apply\n", printed("up FILE"))
    assert.equal(6, person("p3"))
    assert.equal("2 files fit: 2 applied, 0 pending\n", printed("verify FILE"))
    assert.matches("took back 0002_online.*applied 0002_online", printed("redo FILE"))
    assert.matches("0002_online down", printed("plan FILE --down"))
    assert.matches("took back 0002_online.*took back 0001_people", printed("down FILE --to 0"))
    assert.is_nil(person("p3"))
  end)

  it("answers programs in JSON", function()
    local report = assert(iu.json.decode(printed("up FILE --json")))
    assert.same({ "0001_people", "0002_online" }, { report.done[1].name, report.done[2].name })
    local status = assert(iu.json.decode(printed("status FILE --json")))
    assert.is_true(status.up_to_date)
    assert.equal("0002", status.current)
    assert.equal(0, #assert(iu.json.decode(printed("plan FILE --json"))).migrations)
    assert.equal(2, assert(iu.json.decode(printed("verify FILE --json"))).applied)
    command.write(folder .. "/m/0002_online.lua", (ONLINE:gsub("%* 2", "* 3")))
    local run = refused("verify FILE --json", 1, "0002_online.lua")
    local failure = assert(iu.json.decode(run.out))
    assert.is_false(failure.ok)
    assert.equal("CHANGED", failure.code)
    assert.equal("changed", failure.problems[1].kind)
    assert.equal(1, migrate("status FILE --json").status)
    assert.equal("0002_online: applied\n", printed("baseline FILE"))
    assert.equal("the folder fits already\n", printed("baseline FILE"))
    assert.equal(folder .. "/m/0003_next_step.lua\n", printed("new 'next step'"))
    assert.equal(folder .. "/m/0004_more.lua", assert(iu.json.decode(printed("new more --online --description x --json"))).path)
  end)

  it("says what went wrong, and what was done before", function()
    command.write(folder .. "/m/0003_bad.lua", "return { up = function(m) m:delete_entity('nobody') end }")
    local run = refused("up FILE", 1, "0003_bad.lua: up: step 1 (delete_entity): ")
    assert.matches("^applied 0001_people.*applied 0002_online", run.out)
    assert.matches("0003_bad%s+failed", migrate("status FILE").out)
    assert.equal("", refused("up FILE", 1, "0003_bad.lua").out) -- and not that there was nothing to do
    run = refused("up FILE --json", 1, "0003_bad.lua")
    local failure = assert(iu.json.decode(run.out))
    assert.same({ false, "MigrationError", 1 }, { failure.ok, failure.kind, failure.step })
    os.remove(folder .. "/m/0003_bad.lua")
    os.remove(folder .. "/m/0001_people.lua")
    refused("up FILE", 1, "0001_people.lua", "baseline")
    refused("verify FILE", 1, "0001_people.lua", "baseline")
    refused("status FILE", 1, "0001_people.lua")
    assert.equal("0001_people: removed\nnothing was changed (--dry-run)\n", printed("baseline FILE --dry-run"))
    assert.equal("0001_people: removed\n", printed("baseline FILE"))
    command.write(folder .. "/m/0001_late.lua", "return { up = function() end }")
    refused("up FILE", 1, "0001_late.lua", "--allow-out-of-order")
    assert.matches("applied 0001_late", printed("up FILE --allow-out-of-order"))
  end)

  it("is used wrongly with 2, and fails with 1", function()
    assert.equal(2, command.iu("migrate").status)
    refused("upp FILE", 2, "did you mean 'up'?")
    refused("up FILE --dryrun", 2, "did you mean '--dry-run'?")
    refused("new", 2, "arguments are missing")
    refused("up FILE --to 9", 1, "to: the number of a migration")
    refused("up FILE --lock-timeout soon", 2, "wants a number above 0")
    refused("up " .. quote(file .. ".none"), 1, "there is no such file")
    refused("up memory:", 1, "memory:")
    refused("up http://x/y", 1, "ws://host:port/database expected")
    refused("new 'a/b'", 1, "letters, digits")
    for _, word in ipairs { "up", "status", "plan", "verify" } do
      local run = command.iu(("migrate %s %s --folder %s"):format(word, quote(file), quote(folder .. "/none")))
      assert.equal(1, run.status)
      assert.truthy(run.err:find("no such folder: " .. folder .. "/none", 1, true), run.err)
    end
  end)

  it("takes the target and the folder from the configuration", function()
    command.write(folder .. "/config.json", assert(iu.json.encode { db_path = file, plugins = { migrations = { folder = folder .. "/m" } } }))
    local run = command.iu("migrate up --config " .. quote(folder .. "/config.json"))
    assert.equal(0, run.status, run.err)
    assert.equal(6, person("p3"))
  end)

  it("waits for who has the file open, as long as it is told", function()
    local m = assert(iu.open(file))
    refused("up FILE --lock-timeout 0.2", 1, "is open")
    assert.matches("2 pending", printed("status FILE"))
    assert(m:shutdown())
  end)

  it("is stopped by Ctrl-C at a checkpoint, and goes on", function()
    command.write(folder .. "/m/0003_slow.lua", [[
      local function wait()
        local finish = os.clock() + 0.02
        while os.clock() < finish do end
      end
      return { online = true, up = function(m)
        m:update_entities("Person", function(e)
          io.stderr:write("x")
          io.stderr:flush()
          for _ = 1, 10 do wait() end
          e.metadata.properties.slow = (e.metadata.properties.slow or 0) + 1
          return e.metadata
        end, { size = 1 })
      end }]])
    printed("up FILE --to 2")
    -- Ctrl-C once the third person is at work.
    local line = ([[%s/scripts/iu migrate up %s --folder %s 2>%s/err >%s/out & pid=$!; while [ "$(tr -cd x <%s/err | wc -c)" -lt 3 ]; do sleep 0.02; done; ]]
      .. "kill -INT $pid; wait $pid"):format(quote(command.root), quote(file), quote(folder .. "/m"), quote(folder), quote(folder), quote(folder))
    -- a shell's children in the background ignore SIGINT unless they are asked not to
    local run = command.sh("exec lua5.4 -e " .. quote(([[os.exit(select(3, os.execute(%q)))]]):format("set -m; " .. line)))
    assert.equal(130, run.status, command.read(folder .. "/err"))
    assert.truthy(command.read(folder .. "/err"):find("stopping at the next checkpoint", 1, true))
    local status = assert(iu.json.decode(migrate("status FILE --json").out)).migrations[3]
    assert.equal("stopped", status.state)
    assert.is_true(status.done >= 2 and status.done < 10, tostring(status.done))
    assert.matches("applied 0003_slow", migrate("up FILE").out)
    local m = assert(iu.open(file))
    for i = 1, 10 do assert.equal(1, assert(m:get_entity("p" .. i)).metadata.properties.slow) end
    assert(m:shutdown())
  end)

  it("shows how far it is on a terminal", function()
    local run = command.sh(("script -qec %s /dev/null"):format(quote(("%s/scripts/iu migrate up %s --folder %s"):format(quote(command.root), quote(file),
      quote(folder .. "/m")))))
    assert.equal(0, run.status)
    assert.truthy(run.out:find("0002_online up: entities Person 10 of 10", 1, true), run.out)
  end)

  it("works on a server", function()
    if not spacetimedb.address then return end
    local name = spacetimedb.name()
    local token = assert(spacetimedb.publish(name))
    local target = ("%s/%s"):format(spacetimedb.address, name)
    local function on_server(words)
      return command.sh(("INNER_UNIVERSE_TOKEN=%s %s/scripts/iu migrate %s %s --folder %s"):format(quote(token), quote(command.root), words, quote(target),
        quote(folder .. "/m")))
    end
    local run = on_server("status")
    assert.equal(0, run.status, run.err)
    assert.matches("0 applied, 2 pending", run.out)
    run = on_server("plan")
    assert.matches("create entity Person %(10 rows%)", run.out)
    run = on_server("up --dry-run")
    assert.equal(0, run.status, run.err)
    run = on_server("up")
    assert.equal(0, run.status, run.err)
    assert.matches("applied 0001_people.*applied 0002_online", run.out)
    assert.matches("2 applied, 0 pending", on_server("status").out)
    assert.equal(0, on_server("verify").status)
    assert.matches("took back 0002_online", on_server("down").out)
    -- somebody else may not
    run = command.sh(("INNER_UNIVERSE_TOKEN_FILE=none %s/scripts/iu migrate up %s --folder %s"):format(quote(command.root), quote(target),
      quote(folder .. "/m")))
    assert.equal(1, run.status)
    assert.truthy(run.err:find("owner", 1, true), run.err)
    spacetimedb.discard(name, token)
  end)
end)
