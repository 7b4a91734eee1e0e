-- Sealing and private files, as plugins use them: iu.secret. (tests/c/base_seal_test.c has the vectors of the specification.)

local iu = require "inner_universe"
local support = require "support"

local KEY, OTHER = ("k"):rep(32), ("o"):rep(32)

describe("iu.secret", function()
  after_each(support.clean)

  it("opens what it sealed, of any bytes and lengths", function()
    for length = 0, 70 do
      local text = ("\0\255x"):rep(30):sub(1, length)
      local sealed = assert(iu.secret.seal(KEY, text, "here"))
      assert.truthy(sealed:match("^[%w+/]+=?=?$"))
      assert.equal(text, iu.secret.open(KEY, sealed, "here"))
    end
    local large = ("large"):rep(300000)
    assert.equal(large, iu.secret.open(KEY, assert(iu.secret.seal(KEY, large, "")), ""))
  end)

  it("never makes the same of the same text", function()
    local seen = {}
    for _ = 1, 200 do
      local sealed = assert(iu.secret.seal(KEY, "text", ""))
      assert.is_nil(seen[sealed])
      seen[sealed] = true
    end
  end)

  it("opens nothing for another key, another place, or changed text", function()
    local sealed = assert(iu.secret.seal(KEY, "text", "here"))
    support.refused("AuthorizationError", iu.secret.open(OTHER, sealed, "here"))
    support.refused("AuthorizationError", iu.secret.open(KEY, sealed, "there"))
    for i = 1, #sealed do
      local other = sealed:byte(i) == 65 and "B" or "A"
      support.refused("AuthorizationError", iu.secret.open(KEY, sealed:sub(1, i - 1) .. other .. sealed:sub(i + 1), "here"))
    end
    for _, broken in ipairs { "", "A", "AAAA", sealed:sub(1, -5), sealed .. "AAAA", sealed:sub(5), "\n" .. sealed, "sealed" } do
      support.refused("AuthorizationError", iu.secret.open(KEY, broken, "here"))
    end
  end)

  it("wants keys of 32 bytes", function()
    support.raises_here(function() return (iu.secret.seal("short", "text", "")) end, "32 bytes")
    support.raises_here(function() return (iu.secret.open(KEY .. "x", "text", "")) end, "32 bytes")
  end)

  it("reads files that their owner alone may read", function()
    local path = support.path()
    support.write(path, "the secret\n")
    for _, mode in ipairs { "600", "400" } do
      assert(os.execute(("chmod %s '%s'"):format(mode, path)))
      assert.equal("the secret\n", iu.secret.read(path))
    end
    for _, mode in ipairs { "644", "640", "604", "660", "602", "601" } do
      assert(os.execute(("chmod %s '%s'"):format(mode, path)))
      support.refused("AuthorizationError", nil, select(2, iu.secret.read(path)), path, mode)
    end
  end)

  it("reads no folder, no pipe, nothing that is not there, and nothing large", function()
    local path = support.path()
    support.refused("StorageError", nil, select(2, iu.secret.read(path)), "No such file")
    support.refused("ValidationError", nil, select(2, iu.secret.read(support.folder())), "no regular file")
    assert(os.execute(("mkfifo -m 600 '%s'"):format(path)))
    support.refused("ValidationError", nil, select(2, iu.secret.read(path)), "no regular file")
    local large = support.path()
    support.write(large, ("x"):rep(70000))
    assert(os.execute(("chmod 600 '%s'"):format(large)))
    support.refused("ValidationError", nil, select(2, iu.secret.read(large)), "65536")
  end)
end)
