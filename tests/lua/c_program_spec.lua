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

  it("finds nothing any more after make uninstall", function()
    sh(("%s uninstall PREFIX=%s"):format(MAKE, command.quote(prefix)))
    assert.equal("", sh(("find %s -type f"):format(command.quote(prefix))))
    sh(("%s install-c PREFIX=%s"):format(MAKE, command.quote(prefix)))
  end)
end)
