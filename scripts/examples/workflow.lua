-- Workflow: an order in steps, each recorded as it finishes. The program ends in the middle; opened again, the order goes on where it was, and nothing is
-- done twice. An order that cannot be sent is undone.
--
--   iu run workflow.lua [TARGET]        TARGET: a file; a new one that is removed afterwards (default, and for memory:, of which nothing would be left)

local iu = require "inner_universe"

local target = ... or "memory:"
local temporary = target == "memory:" and os.tmpname() or nil
if temporary then target = temporary .. ".universe" end

-- What a workflow decides by comes from its input and from wf; what it does is in steps. Each has a function that undoes it.
local function order(wf, input)
  -- Outside of the universe: at least once. The other side knows a repeated call by its key.
  local key = wf:uuid()
  local payment = assert(wf:step("pay", function()
    print(("  %s: %d is paid"):format(wf.id, input.sum))
    return { key = key, sum = input.sum }
  end, {
    retry = { max_attempts = 5, initial_delay = 0.1 },
    compensate = function(paid) print(("  %s: %d is paid back"):format(wf.id, paid.sum)) end,
  }))

  -- In the universe: the rows and the step's record are one transaction, exactly once.
  assert(wf:transaction("book", function(tx)
    print(("  %s: is booked"):format(wf.id))
    return tx:create_entity("Order", { name = input.item, properties = { sum = payment.sum } }, wf.id)
  end, {
    compensate = function(tx, id) assert(tx:delete_entity(id)) end,
  }))

  -- This may take days, and the program need not run meanwhile.
  local packed = assert(wf:wait_signal("packed", 7 * 24 * 3600))
  assert(wf:step("send", function()
    if not packed.weight then return nil, iu.errors.new("ValidationError", "nothing to send: " .. packed.why) end
    print(("  %s: %g kg are sent"):format(wf.id, packed.weight))
  end))
  return { item = input.item, weight = packed.weight }
end

local function open()
  local manager = assert(iu.open(target, { plugins = { workflow = true } }))
  local workflows = assert(manager:plugin("workflow"))
  assert(workflows:define("order", { run = order }))
  return manager, workflows
end

-- Until an order is at that call.
local function wait_for_call(workflows, id, number)
  repeat
    iu.sleep(0.01)
    local steps = assert(workflows:get(id)).steps
  until steps[#steps] and steps[#steps].number >= number
end

print("two orders, and the program ends")
local manager, workflows = open()
assert(workflows:start("order", { item = "lamp", sum = 30 }, { id = "order-1" }))
wait_for_call(workflows, "order-1", 4)
assert(workflows:start("order", { item = "vase", sum = 50 }, { id = "order-2" }))
wait_for_call(workflows, "order-2", 4)
assert(manager:shutdown())

print("opened again")
manager, workflows = open()
assert(workflows:signal("order-1", "packed", { weight = 1.5 }))
print(("order-1: %s, %g kg"):format(assert(workflows:wait("order-1", 60)).item, workflows:get("order-1").output.weight))
assert(workflows:signal("order-2", "packed", { why = "it broke" }))
print("order-2:", select(2, workflows:wait("order-2", 60)))

for _, run in ipairs(assert(workflows:list())) do
  print(("%s has %s, with an entity: %s"):format(run.id, run.status, tostring(manager:get_entity(run.id) ~= nil)))
end
assert(manager:shutdown())
if temporary then os.execute(("rm -f '%s'*"):format(temporary)) end
