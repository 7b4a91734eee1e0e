-- The Makefile, over a small tree made for the purpose: incremental builds rebuild what changed and nothing else.
-- sanitizers: skip (no code of the library runs)

local ROOT = assert(io.popen("pwd -P")):read("l")

describe("make", function()
  local tree

  local function sh(command)
    local pipe = assert(io.popen("{ " .. command .. "\n} 2>&1", "r"))
    local output = pipe:read("a")
    return pipe:close() == true, output
  end

  local function write(path, text)
    assert(sh(("mkdir -p '%s/%s'"):format(tree, path:match("^(.*)/") or ".")))
    local file = assert(io.open(tree .. "/" .. path, "w"))
    file:write(text)
    file:close()
  end

  -- The objects compiled by `make ARGUMENTS`, in one text: "base/a store/b ".
  local function make(arguments)
    local ok, output = sh(("make -C '%s' %s"):format(tree, arguments or ""))
    assert(ok, output)
    local compiled = {}
    for name in output:gmatch("CC%s+build/obj/release/core/(%S+)%.o") do
      compiled[#compiled + 1] = name
    end
    table.sort(compiled)
    return table.concat(compiled, " ")
  end

  -- File times are compared in nanoseconds, but let none be equal.
  local function touch(path)
    assert(sh(("sleep 0.02; touch '%s/%s'"):format(tree, path)))
  end

  before_each(function()
    tree = select(2, sh("mktemp -d")):match("[^\n]+")
    assert(sh(("cp '%s/Makefile' '%s/'"):format(ROOT, tree)))
    write("core/base/a.h", "int iu__a(void);\n")
    write("core/base/a.c", '#include "a.h"\nint iu__a(void) { return 1; }\n')
    write("core/store/b.h", '#include "../base/a.h"\nint iu__b(void);\n')
    write("core/store/b.c", '#include "b.h"\nint iu__b(void) { return iu__a(); }\n')
    write("core/store/a.c", "int iu__c(void);\nint iu__c(void) { return 2; }\n")
    write("core/bind/m.c", '#include <lua.h>\n__attribute__((visibility("default"))) int luaopen_inner_universe_core(lua_State *L);\n'
      .. "int luaopen_inner_universe_core(lua_State *L) { lua_pushinteger(L, 1); return 1; }\n")
    assert.equal("base/a bind/m store/a store/b", make())
  end)

  after_each(function()
    sh("rm -rf '" .. tree .. "'")
  end)

  it("does nothing when nothing changed", function()
    assert.equal("", make())
  end)

  it("follows headers through headers", function()
    touch("core/base/a.h")
    assert.equal("base/a store/b", make())
    touch("core/store/b.h")
    assert.equal("store/b", make())
  end)

  it("builds everything anew when a flag or the Makefile changed", function()
    assert.equal("base/a bind/m store/a store/b", make("CFLAGS=-DX"))
    assert.equal("base/a bind/m store/a store/b", make())
    touch("Makefile")
    assert.equal("base/a bind/m store/a store/b", make())
  end)

  it("finds a new source, and forgets a removed one and its header", function()
    write("core/base/d.h", "int iu__d(void);\n")
    write("core/base/d.c", '#include "d.h"\nint iu__d(void) { return 1; }\n')
    assert.equal("base/d", make())
    local function holds()
      return (sh(("nm '%s/build/libinner_universe.a' | grep -qw iu__d"):format(tree)))
    end
    assert.is_true(holds())
    assert(sh(("rm '%s/core/base/d.c' '%s/core/base/d.h'"):format(tree, tree)))
    assert.equal("", make())
    assert.is_false(holds())
  end)

  it("keeps two files of one name in the library", function()
    for _, name in ipairs({ "iu__a", "iu__c" }) do
      assert.is_true(sh(("nm '%s/build/libinner_universe.a' | grep -qw %s"):format(tree, name)), name)
    end
  end)

  it("treats a warning as an error", function()
    write("core/base/d.c", "int iu__d(int x);\nint iu__d(int x) { int unused; return x; }\n")
    local ok, output = sh(("make -C '%s'"):format(tree))
    assert.is_false(ok)
    assert.truthy(output:find("Werror", 1, true), output)
  end)

  it("builds a module that Lua loads", function()
    assert.equal("1\n", select(2, sh(("LUA_CPATH='%s/build/lua/?.so' lua5.4 -e 'print((require \"inner_universe.core\"))'"):format(tree))))
  end)
end)
