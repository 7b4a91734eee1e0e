-- Logging: a sink the host sets, levels, silence without one.

local log = require("inner_universe.log")

describe("a logger", function()
  local lines, logs

  before_each(function()
    lines, logs = {}, log.new()
    logs.set_sink(function(level, message, source)
      lines[#lines + 1] = ("%s %s: %s"):format(level, source, message)
    end)
  end)

  it("delivers what its level allows", function()
    local logger = logs.logger("host", "warn")
    logger.error("a %d", 1)
    logger.warn("b")
    logger.info("c")
    assert.same({ "error host: a 1", "warn host: b" }, lines)
    assert.is_true(logger.enabled("warn"))
    assert.is_false(logger.enabled("info"))
  end)

  it("is at info without a level, silent at off", function()
    local logger = logs.logger("x")
    logger.info("yes")
    logger.debug("no")
    logs.logger("y", "off").error("no")
    assert.same({ "info x: yes" }, lines)
  end)

  it("formats only with arguments, and survives a bad format", function()
    local logger = logs.logger("x")
    logger.info("100%")
    logger.info("%d", "no number")
    assert.same({ "info x: 100%", "info x: %d" }, lines)
  end)

  it("formats nothing that will not be delivered", function()
    local formatted = false
    local value = setmetatable({}, { __tostring = function()
      formatted = true
      return "x"
    end })
    logs.logger("x", "warn").info("%s", value)
    logs.set_sink(nil)
    logs.logger("x", "trace").info("%s", value)
    assert.is_false(formatted)
  end)

  it("goes nowhere without a sink, and set_sink gives the one before", function()
    local previous = logs.set_sink(nil)
    assert.equal("function", type(previous))
    logs.logger("x").error("lost")
    assert.same({}, lines)
    assert.is_nil(logs.set_sink(previous))
  end)

  it("does not fail because of its sink", function()
    logs.set_sink(function() error("disk full") end)
    assert.has_no.errors(function() logs.logger("x").error("y") end)
  end)

  it("delivers what its filters leave of a message, in their order, until they are cancelled", function()
    local first = logs.add_filter(function(message) return (message:gsub("secret", "first")) end)
    local second = logs.add_filter(function(message) return (message:gsub("first", "second")) end)
    logs.logger("x").error("a %s", "secret")
    logs.write("warn", "secret too", "y")
    second.cancel()
    logs.logger("x").error("a secret")
    first.cancel()
    first.cancel()
    logs.logger("x").error("a secret")
    assert.same({ "error x: a second", "warn y: second too", "error x: a first", "error x: a secret" }, lines)
  end)

  it("hides a message whose filter fails", function()
    local raising = logs.add_filter(function() error("broken") end)
    logs.logger("x").error("a secret")
    raising.cancel()
    logs.add_filter(function() return nil end)
    logs.logger("x").error("a secret")
    assert.equal(2, #lines)
    for _, line in ipairs(lines) do assert.is_nil(line:find("secret", 1, true)) end
  end)

  it("refuses unknown levels and sinks that are no function", function()
    assert.has_error(function() logs.logger("x", "warning") end, "unknown log level 'warning' (did you mean 'warn'?)")
    assert.has_error(function() logs.set_sink("stdout") end)
  end)
end)
