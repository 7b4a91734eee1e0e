-- Durable consumers: orders are shipped, whatever happens to who ships them.
--
--   iu run consumers.lua [TARGET]        TARGET: memory: (default), or a file

local iu = require "inner_universe"
local manager <close> = assert(iu.open(... or "memory:"))
local bus = manager.event_bus

-- Orders come in before anybody listens: they wait in the log.
for number, goods in ipairs { "tea", "coffee", "a broken cup", "milk" } do
  assert(bus:publish("ORDER_PLACED", { number = number, goods = goods }, "shop"))
end

iu.run(function()
  -- The consumer has a name, under which its place in the log is kept. What it writes through `tx` and its place change together: an order is shipped once,
  -- also when the program dies in between.
  local shipping = assert(bus:consumer("shipping", {
    types = "ORDER_*", from = "start", max_attempts = 2, retry_delay = 0.01,
    handler = function(delivery)
      local order = delivery.data
      print(("order %d, %s: attempt %d"):format(order.number, order.goods, delivery.attempt))
      if order.goods:find("broken") then error("nobody wants that") end
      return delivery:transaction(function(tx)
        return tx:create_entity("Parcel", { name = order.goods, properties = { order = order.number } })
      end)
    end,
  }))
  assert(shipping:wait_idle(10))

  -- What failed too often became an event itself, with the order in it and why.
  for _, letter in ipairs(assert(bus:events { type = "DEAD_LETTER" })) do
    print(("given up after %d attempts: %s"):format(letter.data.attempts, letter.data.event.data.goods))
  end
  assert(shipping:stop())

  -- The next time it goes on where it was.
  assert(bus:publish("ORDER_PLACED", { number = 5, goods = "sugar" }, "shop"))
  local again = assert(bus:consumer("shipping", { types = "ORDER_*", handler = function(delivery) print("left over: " .. delivery.data.goods) end }))
  assert(again:wait_idle(10))
  print(("%d events behind"):format(again:lag()))

  -- And a question that somebody answers.
  assert(bus:respond("STOCK", function(message) return { goods = message.data.goods, left = 3 } end))
  local stock = assert(bus:request("STOCK", { goods = "tea" }, { timeout = 10 }))
  print(("%s: %d left"):format(stock.goods, stock.left))
end)

print(("%d parcels"):format(#assert(manager:query_entities { entity_type = "Parcel" })))
