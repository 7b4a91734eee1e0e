-- A small game as a module: players walk to the nearest coin and pick it up. play_arena.lua plays it.
--
-- The rules run inside the universe: every reducer is one transaction, and `step` is called by a row of `tick` twenty times a second, also after the
-- file was closed and opened again.

local iu = require "inner_universe"

local SIZE = 20 -- of the field
local STEP = 50000 -- microseconds

local function towards(from, to)
  return from + (to > from and 1 or to < from and -1 or 0)
end

local function nearest_coin(ctx, player)
  local best, distance
  for coin in ctx.db.coin:iter() do
    local d = math.abs(coin.x - player.x) + math.abs(coin.y - player.y)
    if not best or d < distance then best, distance = coin, d end
  end
  return best
end

return iu.module("arena", {
  tables = {
    player = {
      columns = { { "id", "u64" }, { "owner", "identity" }, { "name", "string" }, { "x", "i32" }, { "y", "i32" }, { "coins", "u32", default = 0 } },
      primary_key = "id", auto_inc = "id", unique = { "name" }, indexes = { { "owner" } }, public = true,
    },
    coin = { columns = { { "id", "u64" }, { "x", "i32" }, { "y", "i32" } }, primary_key = "id", auto_inc = "id", indexes = { { "x", "y" } }, public = true },
    tick = { columns = { { "id", "u64" }, { "at", "schedule_at" } }, primary_key = "id", auto_inc = "id", scheduled = "step" },
  },

  -- Who leaves takes the player along.
  client_disconnected = function(ctx) ctx.db.player:delete_where { owner = ctx.sender } end,

  reducers = {
    -- A caller has one player, whose name nobody else has.
    spawn = { params = { { "name", "string" } }, run = function(ctx, name)
      if #name < 2 then error("VALIDATION: name: 2 characters or more expected") end
      if ctx.db.player:find("owner", ctx.sender)[1] then error("CONFLICT: you are playing already") end
      ctx.db.player:insert { owner = ctx.sender, name = name, x = ctx.random(SIZE), y = ctx.random(SIZE) }
    end },

    start = { params = { { "coins", "u32" } }, run = function(ctx, coins)
      for _ = 1, coins do ctx.db.coin:insert { x = ctx.random(SIZE), y = ctx.random(SIZE) } end
      ctx.db.tick:delete_where {}
      ctx.db.tick:insert { at = { tag = "Interval", value = STEP } }
    end },

    -- Called by the rows of `tick`, with the row.
    step = function(ctx, tick)
      for player in ctx.db.player:iter() do
        local coin = nearest_coin(ctx, player)
        if not coin then
          ctx.db.tick:delete(tick.id)
          return
        end
        player.x, player.y = towards(player.x, coin.x), towards(player.y, coin.y)
        player.coins = player.coins + ctx.db.coin:delete_where { x = player.x, y = player.y }
        ctx.db.player:update(player)
      end
    end,
  },
})
