-- iu.gzip and iu.gunzip: what goes in comes out; damage and bombs are errors.

local iu = require("inner_universe")

describe("gzip", function()
  it("gives back what it was given", function()
    for _, text in ipairs { "", "a", ("hello world "):rep(10000), string.pack("<I8I8", 1, -1 & 0x7fffffff) } do
      assert.equal(text, iu.gunzip(assert(iu.gzip(text))))
    end
    assert.is_true(#iu.gzip(("hello world "):rep(10000)) < 2000)
  end)

  it("is what other programs read and write", function()
    local support = require("support")
    local path = support.path()
    support.write(path, iu.gzip("some text"))
    local pipe = io.popen(("gzip -dc < '%s'"):format(path))
    assert.equal("some text", pipe:read("a"))
    pipe:close()
  end)

  it("refuses what is damaged, cut or over the cap", function()
    local gzip = iu.gzip(("x"):rep(1000))
    local function is_error(kind, value, err)
      assert.is_nil(value)
      assert.equal(kind, err.kind)
    end
    is_error("ValidationError", iu.gunzip("not gzip"))
    is_error("ValidationError", iu.gunzip(""))
    for n = 1, #gzip - 1 do is_error("ValidationError", iu.gunzip(gzip:sub(1, n))) end
    is_error("ValidationError", iu.gunzip(gzip .. "x"))
    is_error("OverloadedError", iu.gunzip(gzip, 999))
    assert.equal(1000, #iu.gunzip(gzip, 1000))
    assert.has_error(function() iu.gunzip(gzip, -1) end)
  end)

  it("of a connection is made beside the loop, in the caller's place where nothing may wait, and not once it is closed", function()
    local text = ("hello world "):rep(500000)
    local conn = assert(iu.connect("memory:"))
    assert.equal(text, iu.gunzip(assert(conn:gzip(text))))
    iu.run(function()
      local turned = 0
      local other = iu.spawn(function()
        while turned < 1000000 do
          turned = turned + 1
          iu.sleep(0)
        end
      end)
      assert.equal(text, iu.gunzip(assert(conn:gzip(text))))
      assert.is_true(turned > 0)
      other:cancel()
      local nested
      coroutine.wrap(function() nested = conn:gzip(text) end)()
      assert.equal(text, iu.gunzip(nested))
      local cancelled = iu.spawn(function() conn:gzip(text) end)
      iu.sleep(0)
      cancelled:cancel()
      local waiting = iu.spawn(function() return conn:gzip(text) end)
      iu.sleep(0)
      assert(conn:close())
      local packed, err = waiting:wait(10)
      assert.is_true(packed ~= nil or err.kind == "ConnectionError")
    end)
    assert.has_error(function() conn:gzip(text) end, "connection is closed")
  end)
end)
