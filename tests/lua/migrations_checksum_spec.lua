-- The tokens of a migration's file, which its checksum is made of: comments, white space and line ends do not count, everything else does.

local env = setmetatable({}, { __index = _G })
local lexer = assert(loadfile("plugins/migrations/lexer.lua", "t", env))()

local function same(a, b) assert.equal((assert(lexer.canonical(a))), (assert(lexer.canonical(b)))) end
local function differ(a, b) assert.not_equal((assert(lexer.canonical(a))), (assert(lexer.canonical(b)))) end

describe("the canonical text of a program", function()
  it("leaves out comments and white space", function()
    same("return { up = 1 }", "return{up=1}")
    same("return 1", "-- a comment\nreturn --[[ one\n more ]] 1 -- last")
    same("return 1", "--[==[ ]] \n ]=] ]==]return\t1")
    same("return 1", "#!/usr/bin/lua\nreturn 1")
    same("a = 1\nb = 2", "a = 1\r\nb = 2\r\n")
    same("a = b - -1", "a=b- -1")
    same("return a --[==[x]==] .. b", "return a..b")
    same("", "  \n-- nothing\n")
  end)

  it("keeps what is in strings", function()
    differ("return 'a b'", "return 'a  b'")
    differ("return '-- no comment'", "return ''")
    differ("return [[ -- no comment\n]]", "return [[]]")
    differ("return 'a'", 'return "a"')
    differ("return [=[ ]] ]=]", "return [=[ ]]  ]=]")
    differ([[return "a\\"]], [[return "a\"" ]] .. [[--"]])
    same([[return "a\"--b" -- c]], [[return "a\"--b"]])
    same("return 'a\\\nb'", "return  'a\\\nb'")
    same("return 'a\\z   \n  b'", " return 'a\\z   \n  b'")
    same("return [[a\r\nb]]", "return [[a\nb]]")
  end)

  it("tells tokens apart", function()
    differ("return ab", "return a b")
    differ("return 1 .. 2", "return 1. .. 2")
    differ("return 0x1p+1", "return 0x1p + 1")
    same("return 1e-5+2", "return 1e-5 + 2")
    differ("return a//b", "return a/ /b")
    differ("return a<b", "return a<=b")
    same("goto l ::l::", "goto l\n::l::")
    differ("::l::", ": : l ::")
    same("return a.b[c]", "return a . b [ c ]")
    differ("x = größe", "x = grösse")
  end)

  it("refuses what has no end, with its line", function()
    for text, why in pairs {
      ["a = 'x\n'"] = "line 1: a string without an end", ["\n\nb = [[x"] = "line 3: a long string without an end",
      ["--[[x"] = "line 1: a comment without an end",
    } do
      local none, err = lexer.canonical(text)
      assert.is_nil(none)
      assert.equal(why, err)
    end
  end)

  it("of this tree's own files is stable under reformatting", function()
    for _, path in ipairs { "plugins/migrations/runner.lua", "plugins/migrations/lexer.lua", "lua/inner_universe/tasks.lua" } do
      local handle = assert(io.open(path, "rb"))
      local text = handle:read("a")
      handle:close()
      local canonical = assert(lexer.canonical(text))
      same(canonical, text) -- the tokens alone are the same program
      assert.truthy(load(canonical, "=" .. path, "t", {}))
      same(text:gsub("\n", "  \n\t"), text)
    end
  end)
end)
