-- A small module of tables and reducers in Lua, as a game would write it; peers/tarantool.lua has the same tables.
local iu = require "inner_universe"

local arena = { PLAYERS = 10000 }

local BLOB = ("x"):rep(88) -- with the id and its length: a row of 100 bytes

local function fill(ctx)
  for i = 1, arena.PLAYERS do
    ctx.db.player:insert { id = i, name = "player " .. i, x = i / 2, y = i / 4, guild = "guild " .. i % 100 }
  end
end

local function bulk(ctx, count)
  local blob = ctx.db.blob
  for i = 1, count do blob:insert { id = i, data = BLOB } end
end

local function move(ctx)
  local player = ctx.db.player
  for id = 1, arena.PLAYERS do
    local row = player:get(id)
    row.x = row.x + 1
    player:update(row)
  end
end

function arena.module()
  return assert(iu.module("arena", {
    tables = {
      player = { columns = { { "id", "u64" }, { "name", "string" }, { "x", "f32" }, { "y", "f32" }, { "guild", "string" } }, primary_key = "id",
        indexes = { { "guild" } }, public = true },
      hit = { columns = { { "id", "u64" }, { "player", "u64" }, { "power", "u32" } }, primary_key = "id", auto_inc = "id" },
      blob = { columns = { { "id", "u64" }, { "data", "string" } }, primary_key = "id" },
    },
    reducers = {
      fill = fill,
      hit = { params = { { "player", "u64" }, { "power", "u32" } },
        run = function(ctx, player, power) ctx.db.hit:insert { player = player, power = power } end },
      bulk = { params = { { "count", "u32" } }, run = bulk },
      move = move,
    },
  }))
end

function arena.connect(folder, options)
  options = options or {}
  options.module, options.nerv = arena.module(), false
  return assert(iu.connect(folder and folder .. "/arena.universe" or "memory:", options))
end

-- With players, all of them subscribed.
function arena.with_players()
  local conn = arena.connect(nil, { subscribe = "all" })
  assert(conn:call("fill"))
  return conn
end

return arena
