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

content.VERSIONS_KEPT = 5 -- versions of each branch that pruning keeps

-- So small that chains end, and snapshots go in several parts, some of them before their commit.
content.versions_config = { snapshot_every = 6, part_bytes = 1024, commit_bytes = 4096 }

--- A state of a history: a small edit from that of n - 1, but now and then much that is new.
function content.version_state(n)
  local list = iu.array {}
  for i = 1, 40 do list[i] = { id = i, edited = n - (n - i) % 40, text = TEXTS[i % #TEXTS + 1] } end
  local state = { n = n, list = list }
  if n % 11 == 0 then -- what does not compress
    local parts = {}
    for i = 1, 1000 do parts[i] = ("%x"):format((n * 1000 + i) * 6364136223846793005 + 1442695040888963407) end
    state.blob = table.concat(parts)
  end
  return state
end

function content.event(n)
  return { n = n, text = TEXTS[n % #TEXTS + 1], none = iu.null }
end

--- One text for what is the same value.
function content.same(value)
  return assert(iu.json.canonical(value))
end

return content
