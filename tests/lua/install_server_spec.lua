-- scripts/install-spacetimedb, with a cargo that builds nothing: what is there is left alone, what is half there is built anew, two calls at once
-- build once, and without a Rust toolchain nothing is changed.
-- sanitizers: skip (no code of the library runs)

local ROOT = assert(io.popen("pwd -P")):read("l")

describe("installing the server", function()
  local home

  local function sh(command)
    local pipe = assert(io.popen("{ " .. command .. "\n} 2>&1", "r"))
    local output = pipe:read("a")
    local ok, _, code = pipe:close()
    return ok == true, output, code
  end

  local function write(path, text)
    assert(sh(("mkdir -p '%s'"):format(path:match("^(.*)/"))))
    local file = assert(io.open(path, "w"))
    file:write(text)
    file:close()
    assert(sh("chmod +x '" .. path .. "'"))
  end

  -- `install` leaves a program that says its version, unless the build is told to fail; each build adds a line to `built`.
  local function toolchain(version, result)
    local cargo = ([[#!/bin/sh
case "$1" in --version) echo "cargo %s (0000)"; exit 0 ;; esac
echo built >> '%s/built'
sleep 0.3
while [ "$1" != --root ]; do shift; done
mkdir -p "$2/bin"
%s
]]):format(version, home, result)
    write(home .. "/tools/cargo", cargo)
    write(home .. "/tools/rustc", "#!/bin/sh\nexit 0\n")
  end

  local WORKS = [[printf '#!/bin/sh\necho tool version 1.2.0\n' > "$2/bin/spacetimedb-standalone"; chmod +x "$2/bin/spacetimedb-standalone"]]

  local function install(command)
    return sh(("cd /; env -u CARGO_HOME -u XDG_CACHE_HOME HOME='%s' PATH='%s/tools':/usr/bin:/bin '%s/scripts/install-spacetimedb' %s")
      :format(home, home, ROOT, command or ""))
  end

  local function builds()
    return select(2, sh(("cat '%s/built' 2>/dev/null | wc -l"):format(home))):match("%d+")
  end

  local function program()
    return home .. "/.cache/inner_universe/spacetimedb-1.2.0/bin/spacetimedb-standalone"
  end

  before_each(function()
    home = select(2, sh("mktemp -d")):match("[^\n]+")
  end)

  after_each(function()
    sh("rm -rf '" .. home .. "'")
  end)

  it("builds once, then only says where it is", function()
    toolchain("1.95.0", WORKS)
    local ok, output = install()
    assert.is_true(ok, output)
    assert.equal(program(), output:match("([^\n]*)\n$"))
    for _, command in ipairs({ "install", "path" }) do
      ok, output = install(command)
      assert.is_true(ok)
      assert.equal(program() .. "\n", output)
    end
    assert.equal("1", builds())
  end)

  it("does not take half an installation for a whole one", function()
    toolchain("1.95.0", WORKS)
    write(program(), "#!/bin/sh\nexit 1\n")
    assert.is_false((install("path")))
    assert.is_true((install()))
    assert.is_true((install("path")))
    assert.equal("1", builds())
  end)

  it("leaves nothing that looks installed when the build fails or what was built does not run", function()
    for _, result in ipairs({ "exit 101", [[printf '#!/bin/sh\nexit 1\n' > "$2/bin/spacetimedb-standalone"; chmod +x "$2"/bin/*]] }) do
      toolchain("1.95.0", result)
      local ok, output, code = install()
      assert.is_false(ok)
      assert.equal(1, code, output)
      assert.is_false((install("path")))
      assert.is_nil(io.open(program()))
    end
  end)

  it("builds once when called twice at the same time", function()
    toolchain("1.95.0", WORKS)
    local one = ("HOME='%s' PATH='%s/tools':/usr/bin:/bin '%s/scripts/install-spacetimedb' >'%s/%%d' 2>&1 &"):format(home, home, ROOT, home)
    local ok, output = sh("unset CARGO_HOME XDG_CACHE_HOME; " .. one:format(1) .. "\n" .. one:format(2) .. "\nwait")
    assert.is_true(ok, output)
    assert.equal("1", builds())
    for _, name in ipairs({ "1", "2" }) do
      assert.equal(program(), select(2, sh(("tail -n 1 '%s/%s'"):format(home, name))):match("[^\n]*"))
    end
  end)

  it("says which Rust it needs and changes nothing when there is none or an old one", function()
    write(home .. "/tools/cargo", "#!/bin/sh\nexit 1\n") -- hides the system's own
    local ok, output, code = install()
    assert.is_false(ok)
    assert.equal(2, code, output)
    assert.truthy(output:find("no cargo was found", 1, true) and output:find("rustup", 1, true), output)
    toolchain("1.63.0", WORKS)
    ok, output, code = install()
    assert.is_false(ok)
    assert.equal(2, code, output)
    assert.truthy(output:find("cargo is 1.63.0", 1, true), output)
    assert.equal("0", builds())
    assert.equal("", (select(2, sh(("ls -A '%s/.cache' 2>/dev/null"):format(home)))))
  end)
end)
