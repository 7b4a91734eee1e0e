-- The rules of `make check` find what they forbid: each runs over a small tree made for the purpose.
-- sanitizers: skip (no code of the library runs)

local ROOT = assert(io.popen("pwd -P")):read("l")

local function sh(command)
  local pipe = assert(io.popen("{ " .. command .. "\n} 2>&1", "r"))
  local output = pipe:read("a")
  return pipe:close() == true, output
end

describe("make check", function()
  local tree

  before_each(function()
    tree = select(2, sh("mktemp -d")):match("[^\n]+")
    assert(sh(("mkdir -p %s/scripts && ln -s %s/scripts/check %s/scripts/check"):format(tree, ROOT, tree)))
  end)

  after_each(function()
    sh("rm -rf '" .. tree .. "'")
  end)

  local function write(path, text)
    sh(("mkdir -p '%s/%s'"):format(tree, path:match("^(.*)/") or "."))
    local file = assert(io.open(tree .. "/" .. path, "w"))
    file:write(text)
    file:close()
  end

  local function check(rule)
    return sh(("cd '%s' && lua5.4 scripts/check/all.lua %s"):format(tree, rule))
  end

  local function refused(rule, text)
    local ok, output = check(rule)
    assert.is_false(ok, output)
    assert.truthy(output:find(text, 1, true), output)
  end

  it("accepts an include of a lower layer", function()
    write("core/base/a.h", "int x;\n")
    write("core/store/b.c", '#include "../base/a.h"\n')
    assert.is_true(check("layers"))
  end)

  it("refuses an include of a higher layer", function()
    write("core/base/a.c", '#include "../store/b.h"\n')
    write("core/store/b.h", "int x;\n")
    refused("layers", "core/base/a.c includes core/store/b.h: store is not below base")
  end)

  it("refuses an include of the folder that stands beside", function()
    write("core/engine/a.c", '#include "../client/b.h"\n')
    write("core/client/b.h", "int x;\n")
    refused("layers", "client is not below engine")
  end)

  it("refuses Lua outside bind", function()
    write("core/engine/a.c", "#include <lauxlib.h>\n")
    refused("layers", "includes Lua's lauxlib.h")
    write("core/engine/a.c", "int x;\n")
    write("core/bind/a.c", "#include <lauxlib.h>\n")
    assert.is_true(check("layers"))
  end)

  it("refuses a cycle of headers", function()
    write("core/base/a.h", '#include "b.h"\n')
    write("core/base/b.h", '#include "c.h"\n')
    write("core/base/c.h", '#include "a.h"\n')
    refused("layers", "include cycle")
  end)

  it("refuses a folder that is not in the order", function()
    write("core/misc/a.c", "int x;\n")
    refused("layers", "the layer misc is not in the order")
  end)

  local function compile(text)
    write("core/base/a.c", text)
    write("core/bind/m.c", '__attribute__((visibility("default"))) int luaopen_inner_universe_core(void *l) { return l != 0; }\n')
    assert(sh(([[cd '%s' && mkdir -p build/obj/release/core/base build/obj/release/core/bind build/lua/inner_universe &&
      for f in base/a bind/m; do gcc -fPIC -fvisibility=hidden -c -o build/obj/release/core/$f.o core/$f.c || exit 1; done &&
      ar qcs build/libinner_universe.a build/obj/release/core/base/a.o &&
      gcc -shared -o build/lua/inner_universe/core.so build/obj/release/core/bind/m.o build/libinner_universe.a]]):format(tree)))
  end

  it("accepts constants, with addresses in them too", function()
    compile('static const char *const names[] = {"a", "b"};\n'
      .. 'const char *iu__name(int i); const char *iu__name(int i) { return names[i]; }\n')
    local ok, output = check("symbols")
    assert.is_true(ok, output)
  end)

  it("refuses a writable static", function()
    compile("static int counter;\nint iu__next(void); int iu__next(void) { return ++counter; }\n")
    refused("symbols", "counter is writable")
  end)

  it("refuses a global name without the prefix", function()
    compile("int next(void); int next(void) { return 1; }\n")
    refused("symbols", "the global symbol next does not start with iu_")
  end)

  it("refuses a folder without README and a link that leads nowhere", function()
    write("core/base/a.c", "int x;\n")
    write("README.md", "[here](core/nothing.md)\n")
    refused("readme", "core/base has no README.md")
    refused("readme", "the link to core/nothing.md leads nowhere")
  end)

  it("refuses a source without its comment", function()
    write("lua/a.lua", "return {}\n")
    refused("heads", "lua/a.lua does not begin with a comment")
  end)

  it("refuses a registered function without stub", function()
    write("core/bind/a.c", 'static const luaL_Reg f[] = {{"hidden_one", hidden_one}, {"__gc", gc}, {NULL, NULL}};\n')
    refused("stubs", "registers hidden_one, which no ---@meta file below lua/ documents")
    write("lua/library/core.lua", "---@meta\nfunction core.hidden_one() end\n")
    write("tests/lua/a_spec.lua", "core.hidden_one()\n")
    assert.is_true(check("stubs"))
  end)

  it("refuses a plugin that reaches around the public module", function()
    write("plugins/a/manifest.lua", 'return { name = "a", version = "1", api = "*" }')
    write("plugins/a/init.lua", "")
    write("plugins/a/README.md", "")
    assert.is_true(check("plugins"))
    write("plugins/a/init.lua", 'local core = require("inner_universe.core")\n')
    refused("plugins", "plugins/a/init.lua requires inner_universe.core")
    write("plugins/a/init.lua", "")
    write("plugins/a/manifest.lua", 'return { name = "b", version = "1", api = require("x") }')
    refused("plugins", "is not plain data")
  end)

  it("refuses a note for later and an unexpected name at the top", function()
    write("core/base/a.c", "/* TO" .. "DO: more */\n")
    refused("layout", "core/base/a.c:1: a note for later")
    write("notes.txt", "")
    refused("layout", "unexpected at the top level: notes.txt")
  end)
end)
