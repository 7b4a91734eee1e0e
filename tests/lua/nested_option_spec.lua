-- Options of options: Lua has one nil, so none and some(none) read alike; every value in them is exact.

local iu = require("inner_universe")
local support = require("support")

describe("an option of an option", function()
  after_each(support.clean)

  it("is its value or nil, whichever of the two is none", function()
    local module = assert(iu.module("m", {
      tables = { t = { columns = { { "id", "u64" }, { "v", { option = { option = "u32" } } } }, primary_key = "id", public = true } },
      reducers = {
        put = { params = { { "id", "u64" }, { "v", { option = { option = "u32" } } } }, run = function(ctx, id, v) ctx.db.t:insert { id = id, v = v } end },
      },
    }))
    local conn = assert(iu.connect("memory:", { module = module }))
    assert(conn:call("put", 1, 5))
    assert(conn:call("put", 2, iu.null))
    assert(conn:call("put", 3))
    assert.same({ id = 1, v = 5 }, conn:get("t", 1))
    assert.same({ id = 2 }, conn:get("t", 2))
    assert.same({ id = 3 }, conn:get("t", 3))
    assert(conn:close())
  end)
end)
