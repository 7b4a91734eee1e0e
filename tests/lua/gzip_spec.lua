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

  it("comes piece by piece, members behind each other", function()
    local random = {}
    for i = 1, 3000 do random[i] = string.char(math.random(0, 255)) end
    local parts = { "", ("hello world "):rep(10000), table.concat(random), "x" }
    local whole, members = table.concat(parts), {}
    for i, part in ipairs(parts) do members[i] = assert(iu.gzip(part)) end
    local bytes = table.concat(members)
    for _, piece in ipairs { 1, 7, 1000, #bytes } do
      local stream, out, at = iu.gunzip_stream(), {}, 1
      assert.is_false(stream:is_whole())
      while at <= #bytes do
        local plain, used = assert(stream:feed(bytes:sub(at, at + piece - 1), 100))
        assert.is_true(#plain <= 100)
        out[#out + 1] = plain
        at = at + used
      end
      repeat
        local plain = assert(stream:feed("", 100))
        out[#out + 1] = plain
      until plain == ""
      assert.is_true(table.concat(out) == whole)
      assert.is_true(stream:is_whole())
      stream:close()
      assert.has_error(function() stream:feed("x") end)
    end
  end)

  it("comes piece by piece until it is damaged or cut", function()
    local bytes = iu.gzip(("hello world "):rep(100))
    local stream = iu.gunzip_stream()
    assert(stream:feed(bytes:sub(1, -2)))
    assert.is_false(stream:is_whole())
    for at = 1, 9 do
      if at < 5 or at > 10 then
        local plain, err = iu.gunzip_stream():feed(bytes:sub(1, at - 1) .. string.char(bytes:byte(at) ~ 0xff) .. bytes:sub(at + 1))
        assert.is_nil(plain)
        assert.equal("ValidationError", err.kind)
      end
    end
    local plain, err = iu.gunzip_stream():feed(bytes .. "not gzip at all")
    assert.is_nil(plain)
    assert.equal("ValidationError", err.kind)
    assert.has_error(function() iu.gunzip_stream():feed(bytes, 0) end)
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
