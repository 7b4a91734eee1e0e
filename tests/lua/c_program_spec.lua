-- sanitizers: skip (programs are compiled against the installed release library)
-- C programs of strangers: `make install-c` puts header, library and inner_universe.pc where they belong, the program of core/include/README.md compiles with
-- what pkg-config says, as strict C99, as C11 and as C++, and does what it promises; `make uninstall` takes everything away again.

local command = require "command"

local MAKE = "make --no-print-directory -C " .. command.quote(command.root)

describe("a C program", function()
  local folder, prefix

  local function sh(line)
    local result = command.sh(line)
    assert.equal(0, result.status, line .. "\n" .. result.out .. result.err)
    return result.out
  end

  setup(function()
    folder = command.folder()
    prefix = folder .. "/usr"
    sh(("%s install-c PREFIX=%s"):format(MAKE, command.quote(prefix)))
    local text = command.read("core/include/README.md"):match("```c\n(.-)\n```")
    command.write(folder .. "/robot.c", assert(text, "core/include/README.md holds no C program"))
  end)
  teardown(function() os.execute("rm -rf " .. command.quote(folder)) end)

  local function compile(compiler)
    sh(("cd %s && export PKG_CONFIG_PATH=%s && %s robot.c $(pkg-config --cflags inner_universe) -c -o robot.o"
      .. " && cc robot.o $(pkg-config --libs inner_universe) -o robot"):format(command.quote(folder), command.quote(prefix .. "/lib/pkgconfig"), compiler))
  end

  local STANDARDS = {
    ["C99"] = "cc -std=c99 -pedantic -Wall -Wextra -Werror", ["C11"] = "cc -std=c11 -pedantic -Wall -Wextra -Werror",
    ["C++11"] = "c++ -x c++ -std=c++11 -pedantic -Wall -Wextra -Werror",
  }
  for name, compiler in pairs(STANDARDS) do
    it("compiles as " .. name .. " and runs", function()
      compile(compiler)
      assert.truthy(sh(command.quote(folder .. "/robot")):match("^arrives: [%x-]+\n$"))
      local target = command.quote(folder .. "/" .. name:gsub("%W", "_") .. ".universe")
      sh(("cd %s && ./robot %s"):format(command.quote(folder), target))
      assert.truthy(sh(("cd %s && ./robot file:%s"):format(command.quote(folder), target)):match("arrives: .*\narrives: "))
    end)
  end

  it("fails with words", function()
    compile(STANDARDS.C99)
    local result = command.sh(command.quote(folder .. "/robot") .. " ftp://somewhere")
    assert.equal(1, result.status)
    assert.equal("ValidationError: target 'ftp://somewhere': unknown scheme 'ftp' (memory:, file:, ws:// or wss:// expected)\n", result.err)
  end)

  -- The n-th C program of the README.
  local function program(n)
    local i = 0
    for text in command.read("core/include/README.md"):gmatch("```c\n(.-)\n```") do
      if text:find("int main", 1, true) then i = i + 1 end
      if i == n then return text end
    end
    error("core/include/README.md has no C program number " .. n)
  end

  local function build(name, text, package, more)
    command.write(folder .. "/" .. name .. ".c", text)
    sh(("cd %s && export PKG_CONFIG_PATH=%s && cc -Wall -Wextra -Werror %s.c $(pkg-config --cflags --libs %s) %s -o %s"):format(command.quote(folder),
      command.quote(prefix .. "/lib/pkgconfig"), name, package, more or "", name))
  end

  it("runs on the shared library", function()
    build("shared", program(1), "inner_universe-shared", "-Wl,-rpath," .. command.quote(prefix .. "/lib"))
    assert.truthy(sh(("ldd %s"):format(command.quote(folder .. "/shared"))):find("libinner_universe.so.0 => " .. prefix, 1, true))
    assert.truthy(sh(command.quote(folder .. "/shared")):match("^arrives: [%x-]+\n$"))
  end)

  it("has tables and reducers of its own", function()
    build("arena", program(2), "inner_universe")
    assert.equal('table `player`: a row with name = "ada" is already there\n', sh(command.quote(folder .. "/arena")))
  end)

  it("hands its own loop to its own Lua state", function()
    build("host", program(3), "inner_universe-lua libuv")
    command.write(folder .. "/script.lua", [[
      local iu = require "inner_universe"
      assert(iu.run(function()
        local conn = assert(iu.connect("memory:"))
        assert(conn:call("put_record", "key", "value"))
        iu.sleep(0.05)
        assert(conn:close())
        print("slept")
        return true
      end))
    ]])
    assert.equal("slept\n5 ticks of the host\n", sh(("cd %s && LUA_PATH=%s ./host script.lua"):format(command.quote(folder),
      command.quote(command.root .. "/lua/?.lua;" .. command.root .. "/lua/?/init.lua"))))
  end)

  it("finds nothing any more after make uninstall", function()
    sh(("%s uninstall PREFIX=%s"):format(MAKE, command.quote(prefix)))
    assert.equal("", sh(("find %s -type f -o -type l"):format(command.quote(prefix))))
    sh(("%s install-c PREFIX=%s"):format(MAKE, command.quote(prefix)))
  end)
end)
