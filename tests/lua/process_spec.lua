-- ctx.process: programs that are run, whether a process is there, and how much of an output is kept.
-- sanitizers: skip (it starts other programs, which are not built for that)

local iu = require("inner_universe")
local process = require("inner_universe.process")

describe("ctx.process", function()
  it("knows whether a process exists", function()
    assert.is_true(process.exists(process.own_pid()))
    assert.is_true(process.exists(1)) -- somebody else's, mostly
    assert.is_false(process.exists((1 << 31) - 1)) -- more than any system numbers
    assert.has_error(function() process.exists("1") end, "bad argument #1 to 'exists' (pid: integer expected, got string)")
  end)

  it("sees a program come and go", function()
    local pid
    iu.run(function()
      local ended
      local child = assert(process.start({ args = { "sleep", "60" } }, function(_, signal) ended = signal end))
      pid = child:pid()
      assert.is_true(process.exists(pid))
      assert.is_true(process.signal(pid, "KILL"))
      for _ = 1, 500 do
        if ended then break end
        iu.sleep(0.01)
      end
      assert.equal(9, ended)
      child:close()
    end)
    assert.is_false(process.exists(pid))
  end)

  it("counts a signal of this process instead of obeying it", function()
    iu.run(function()
      local watch = assert(process.watch("HUP"))
      assert.equal(0, watch:count())
      for n = 1, 2 do
        process.signal(process.own_pid(), "HUP")
        for _ = 1, 500 do
          if watch:count() >= n then break end
          iu.sleep(0.01)
        end
        assert.equal(n, watch:count())
      end
      watch:close()
      watch:close()
      assert.equal(0, watch:count())
    end)
    assert.has_error(function() process.watch("USR1") end)
    local core = require("inner_universe.core")
    local none, err = core.signal(9)
    assert.is_nil(none)
    assert.equal("ValidationError", err.kind)
  end)

  it("keeps the end of an output, as much as is wanted", function()
    local run
    iu.run(function() run = assert(process.run({ "sh", "-c", "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done" }, { output_max = 100 })) end)
    assert.equal(100, #run.output)
    assert.equal("line 1999\n", run.output:sub(-10))
  end)
end)
