-- Tables of options: what is no table raises at the caller's line; what is in one is a value, so it is `nil, ValidationError` everywhere, in the same words.

local iu = require "inner_universe"

describe("options", function()
  local http = assert(iu.server("http://127.0.0.1:1"))
  local TAKERS = {
    connect = { fn = function(options) return iu.connect("memory:", options) end, option = "timeout", near = "timeut", number = "timeout" },
    ["connect to a server"] = {
      what = "connect", fn = function(options) return iu.connect("ws://127.0.0.1:1/x", options) end, option = "token", near = "tokn",
      number = "idle_timeout", integer = "in_flight_max",
    },
    server = { fn = function(options) return iu.server("http://x", options) end, option = "token", near = "tokn", number = "timeout",
      integer = "answer_bytes_max" },
    publish = { fn = function(options) return http:publish("ab", "\0asm", options) end, option = "clear", near = "claer", number = "timeout" },
    plan = { fn = function(options) return http:plan("ab", "\0asm", options) end, option = "timeout", near = "timeot", number = "timeout" },
    logs = { fn = function(options) return http:logs("ab", options) end, option = "lines", near = "line", integer = "lines" },
    follow_logs = { fn = function(options) return http:follow_logs("ab", print, options) end, option = "lines", near = "line", integer = "lines" },
  }

  local function refused(what, text, value, err)
    assert.is_nil(value, what)
    assert.equal("ValidationError", err.kind, what)
    assert.equal(text, err.message, what)
  end

  for name, taker in pairs(TAKERS) do
    local what = taker.what or name

    it("of " .. name .. " have known names", function()
      refused(name, ("%s: unknown option '%s' (did you mean '%s'?)"):format(what, taker.near, taker.option), taker.fn { [taker.near] = 1 })
      refused(name, ("%s: unknown option '5'"):format(what), taker.fn { [5] = true })
    end)

    it("of " .. name .. " have values of their types, in their ranges", function()
      local number, integer = taker.number, taker.integer
      if number then
        refused(name, ("%s: %s: number expected, got string"):format(what, number), taker.fn { [number] = "5" })
        refused(name, ("%s: %s: more than 0 expected, got 0"):format(what, number), taker.fn { [number] = 0 })
        refused(name, ("%s: %s: more than 0 expected, got %s"):format(what, number, 0 / 0), taker.fn { [number] = 0 / 0 })
      end
      if integer then
        refused(name, ("%s: %s: integer expected, got a float"):format(what, integer), taker.fn { [integer] = 1.5 })
        refused(name, ("%s: %s: 1 or more expected, got 0"):format(what, integer), taker.fn { [integer] = 0 })
      end
    end)

    it("of " .. name .. " are a table, or it raises", function()
      assert.has_error(function() taker.fn(5) end)
      assert.has_error(function() taker.fn("x") end)
    end)
  end

  it("name the option whose value a table inside is", function()
    local function refuse(text, reconnect) refused("reconnect", text, iu.connect("ws://127.0.0.1:1/x", { reconnect = reconnect })) end
    refuse("connect: reconnect: unknown key 'min_dely' (did you mean 'min_delay'?)", { min_dely = 1 })
    refuse("connect: reconnect.max_attempts: integer expected, got a float", { max_attempts = 1.5 })
    refuse("connect: reconnect.max_delay: more than 0 expected, got -1", { max_delay = -1 })
    refuse("connect: reconnect: a table or false expected, got string", "yes")
    refused("wasm", "publish: wasm: unknown key 'pth' (did you mean 'path'?)", http:publish("ab", { pth = 1 }))
  end)

  it("take a callable where a function is wanted", function()
    refused("on_end", "follow_logs: on_end: callable expected, got an integer", http:follow_logs("ab", print, { on_end = 5 }))
    refused("on_state", "connect: on_state: function expected, got string", iu.connect("ws://127.0.0.1:1/x", { on_state = "x" }))
  end)
end)
