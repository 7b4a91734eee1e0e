-- What the crash tests write, computed from a number, so that whoever reads it back needs no record of it.

local iu = require "inner_universe"

local content = {}

local TEXTS = { "plain", "ünïcødé ☃ 𝄞", "quotes \" and \\ and \n lines", "" }

--- Metadata of an entity; mostly small, sometimes some 20 KB.
function content.entity(n)
  return {
    name = "entity " .. n,
    description = TEXTS[n % #TEXTS + 1],
    tags = { "t" .. n % 7, "crash" },
    properties = {
      number = n, float = n + 0.0, half = n / 2, least = math.mininteger, nothing = iu.null, list = iu.array {}, object = iu.object {},
      nested = { ["a.b"] = { n, { deep = TEXTS[n % #TEXTS + 1] } } }, blob = ("x%d"):format(n):rep(n % 50 == 0 and 5000 or n % 40),
    },
  }
end

function content.relation(n)
  return { description = "relation " .. n, strength = n / 8, bidirectional = n % 2 == 0, tags = { "r" }, properties = { n = n } }
end

function content.state(n)
  local list = iu.array {}
  for i = 1, n % 30 do list[i] = { i = i, f = i / 4 } end
  return { n = n, f = n + 0.0, list = list }
end

function content.event(n)
  return { n = n, text = TEXTS[n % #TEXTS + 1], none = iu.null }
end

--- One text for what is the same value.
function content.same(value)
  return assert(iu.json.canonical(value))
end

return content
