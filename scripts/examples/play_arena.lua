-- A module of one's own: the game of arena.lua, played by two connections of one universe.
--
--   iu run play_arena.lua [TARGET]        TARGET: memory: (default), or a file

local iu = require "inner_universe"
local folder = debug.getinfo(1, "S").source:match("^@(.*)[/\\]") or "."

local conn <close> = assert(iu.connect(... or "memory:", { module = folder .. "/arena.lua", subscribe = "all" }))
local guest <close> = assert(conn:session())

iu.run(function()
  -- Rows that a reducer wrote are told to whoever subscribed them: before the call returns to who called it, to others as soon as the loop turns.
  conn.tables.player:on_insert(function(player, event)
    print(("%s enters the arena (%s)"):format(player.name, event.reducer))
  end)
  assert(conn:call("spawn", "Ada"))
  assert(guest:call("spawn", "Bob"))

  -- What a reducer raises undoes all it did, and reaches the caller as an err.
  print(guest:call("spawn", "Bobby"))
  print(guest:call("spawn", "B"))

  assert(conn:call("start", 5))
  local picked = 0
  conn.tables.coin:on_delete(function()
    picked = picked + 1
    print(("coin %d is picked up"):format(picked))
  end)
  while picked < 5 do iu.sleep(0.02) end
end)

local total = 0
for player in conn.tables.player:iter() do total = total + player.coins end
print(("%d coins collected"):format(total))
