-- The small HTTP server that plugins get as ctx.listen: answers, what raises, what waits, where it may listen, its end.

local iu = require "inner_universe"
local core = require "inner_universe.core"
local listener = require "inner_universe.listener"
local support = require "support"

-- { status, body, content_type } of a path, or nil and an err.
local function get(port, path)
  local answer, failure
  core.http({ url = ("http://127.0.0.1:%d%s"):format(port, path), method = "GET", timeout = 5 }, function(err, got)
    answer, failure = not err and got, err
  end)
  support.wait_until(function() return answer or failure end)
  return answer or nil, failure
end

describe("a listener", function()
  after_each(support.clean)

  local function listen(options, fn)
    return assert(listener.listen(options or {}, fn))
  end

  it("answers what its function answers, which may wait", function()
    local paths = {}
    local l <close> = setmetatable({ l = listen({}, function(path)
      paths[#paths + 1] = path
      if path == "/slow" then iu.sleep(0.01) end
      if path == "/no" then return 404, "none" end
      return 200, "yes\n", "text/x-test"
    end) }, { __close = function(self) self.l:close() end })
    local port = l.l:port()
    local answer = assert(get(port, "/a?b=c"))
    assert.same({ 200, "yes\n", "text/x-test" }, { answer.status, answer.body, answer.content_type })
    assert.equal(200, assert(get(port, "/slow")).status)
    answer = assert(get(port, "/no"))
    assert.same({ 404, "none", "text/plain; charset=utf-8" }, { answer.status, answer.body, answer.content_type })
    assert.same({ "/a?b=c", "/slow", "/no" }, paths)
  end)

  it("answers 500 where its function raises, and reports it", function()
    local l = listen({}, function(path)
      if path == "/late" then iu.sleep(0.001) end
      error("broken on purpose")
    end)
    assert.equal(500, assert(get(l:port(), "/")).status)
    assert.equal(500, assert(get(l:port(), "/late")).status)
    l:close()
    local reported = support.take_reported()
    assert.equal(2, #reported)
    assert.is_truthy(tostring(reported[1].err):find("broken on purpose", 1, true))
  end)

  it("is on loopback unless others may come, on a port that is free", function()
    support.refused("ValidationError", nil, select(2, listener.listen({ address = "0.0.0.0" }, print)), "loopback")
    support.refused("ValidationError", nil, select(2, listener.listen({ address = "192.168.1.1" }, print)), "remote")
    support.refused("ValidationError", nil, select(2, listener.listen({ address = "example.com", remote = true }, print)), "address")
    support.refused("ValidationError", nil, select(2, listener.listen({ port = 65536 }, print)), "65535")
    support.refused("ValidationError", nil, select(2, listener.listen({ prot = 1 }, print)), "port")
    support.refused("ValidationError", nil, select(2, listener.listen({ connections_max = 100000 }, print)), "connections_max")
    local all = listen({ address = "0.0.0.0", remote = true }, function() return 200, "all" end)
    assert.equal("all", assert(get(all:port(), "/")).body)
    support.refused("ConnectionError", nil, select(2, listener.listen({ port = all:port() }, print)), "in use")
    all:close()
  end)

  it("ends with whoever holds it", function()
    local function port_of_one()
      local l
      l = listen({}, function() return 200, tostring(l) end)
      return l:port()
    end
    local refs = core.debug_refs()
    local port = port_of_one()
    collectgarbage()
    collectgarbage()
    assert.equal(refs, core.debug_refs())
    assert.is_nil((get(port, "/")))
  end)

  it("is deaf once it is closed, holds nothing then, and keeps no program waiting", function()
    local refs = core.debug_refs()
    local l = listen({}, function() return 200, "" end)
    local port = l:port()
    iu.run(function() end)
    l:close()
    l:close()
    assert.is_nil(l:port())
    assert.equal(0, l:connections())
    local answer, err = get(port, "/")
    assert.is_nil(answer)
    assert.equal("ConnectionError", err.kind)
    collectgarbage()
    assert.equal(refs, core.debug_refs())
  end)
end)
