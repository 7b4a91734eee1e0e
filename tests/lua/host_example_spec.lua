-- sanitizers: skip (a program of the release and test builds)
-- The host in C of scripts/examples/host: a short simulation, in memory and in a file, that ends with its percentiles; a rule that fails ends it with words.

local command = require "command"

describe("the host of scripts/examples/host", function()
  local program = command.quote(command.root .. "/build/test/examples/simulation")
  local rules = command.quote(command.root .. "/scripts/examples/host/rules.lua")

  it("simulates in memory and in a file and says how long its frames took", function()
    local result = command.sh(("%s 0.3 500 %s"):format(program, rules))
    assert.equal("", result.err)
    assert.equal(0, result.status)
    local NUMBERS = "%s+18 frames: p50 [%d.]+ ms, p90 [%d.]+ ms, p99 [%d.]+ ms, longest [%d.]+ ms, over 16.7 ms: %d+\n"
    assert.truthy(result.out:match("^memory:" .. NUMBERS .. "file:" .. NUMBERS .. "$"), result.out)
  end)

  it("ends with the words of a rule that fails", function()
    local folder = command.folder()
    command.write(folder .. "/bad.lua", "return function() error('no way', 0) end")
    local result = command.sh(("%s 0.1 10 %s"):format(program, command.quote(folder .. "/bad.lua")))
    assert.equal(1, result.status)
    assert.equal("ValidationError: rule: no way\n", result.err)
    os.execute("rm -rf " .. command.quote(folder))
  end)
end)
