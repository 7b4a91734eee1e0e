-- NERV's module on a real SpacetimeDB server: what it declares there is what the engine declares, line by line.

local spacetimedb = require("spacetimedb")

local with_server = spacetimedb.address and spacetimedb.wasm and it or pending
local PROGRAM = (os.getenv("INNER_UNIVERSE_TEST_SANITIZED") and "build/asan" or "build/test") .. "/tests/node/module_schema"

local SPECIAL = {
  __identity__ = "Identity", __connection_id__ = "ConnectionId", __timestamp_micros_since_unix_epoch__ = "Timestamp",
}

-- A type of a schema answer as the core writes it. `names` by position in the typespace.
local function type_text(t, names)
  local kind, body = next(t)
  if kind == "Ref" then return assert(names[body], "a type without a name") end
  if kind == "Array" then return ("Array<%s>"):format(type_text(body, names)) end
  if kind == "Product" then return assert(SPECIAL[body.elements[1] and body.elements[1].name.some], "a product without a name") end
  if kind == "Sum" then
    assert(#body.variants == 2 and body.variants[1].name.some == "some" and body.variants[2].name.some == "none", "a sum without a name")
    return ("Option<%s>"):format(type_text(body.variants[1].algebraic_type, names))
  end
  return kind
end

local function column_names(row, columns)
  local out = {}
  for i, column in ipairs(columns) do out[i] = row.elements[column + 1].name.some end
  return table.concat(out, ", ")
end

-- The answer's facts in the form of tests/node/module_schema.c, sorted.
local function server_lines(schema)
  local lines, names = {}, {}
  local function add(...)
    lines[#lines + 1] = string.format(...)
  end
  local function fields(kind, name, elements)
    for i, element in ipairs(elements) do
      add("%s %s.%d %s: %s", kind, name, i - 1, element.name.some, type_text(element.algebraic_type, names))
    end
  end
  for _, entry in ipairs(schema.types) do names[entry.ty] = entry.name.name end
  for i, t in ipairs(schema.typespace.types) do
    local sum = t.Sum ~= nil
    add("type %s %s", names[i - 1], sum and "sum" or "product")
    fields("type", names[i - 1], sum and t.Sum.variants or t.Product.elements)
  end
  for _, def in ipairs(schema.tables) do
    local row = schema.typespace.types[def.product_type_ref + 1].Product
    local unique = {}
    for _, constraint in ipairs(def.constraints) do unique[column_names(row, constraint.data.Unique.columns)] = true end
    local access = def.table_access.Public and "public" or "private"
    add("table %s %s, primary key %s", def.name, access, #def.primary_key > 0 and column_names(row, def.primary_key) or "none")
    fields("table", def.name, row.elements)
    for _, index in ipairs(def.indexes) do
      local columns = column_names(row, index.algorithm.BTree)
      add("index %s on %s(%s), accessor %s, %s", index.name.some, def.name, columns, index.accessor_name.some,
        unique[columns] and "unique" or "not unique")
    end
  end
  local LIFECYCLE = { Init = "init", OnConnect = "client_connected", OnDisconnect = "client_disconnected" }
  for i, reducer in ipairs(schema.reducers) do
    local params = {}
    for k, element in ipairs(reducer.params.elements) do
      params[k] = element.name.some .. ": " .. type_text(element.algebraic_type, names)
    end
    local lifecycle = reducer.lifecycle.some and LIFECYCLE[next(reducer.lifecycle.some)] or "none"
    add("reducer %d %s(%s), lifecycle %s", i - 1, reducer.name, table.concat(params, ", "), lifecycle)
  end
  table.sort(lines)
  return lines
end

local function engine_lines()
  local pipe = assert(io.popen(PROGRAM .. " 2>&1"))
  local lines = {}
  for line in pipe:lines() do lines[#lines + 1] = line end
  assert(pipe:close(), table.concat(lines, "\n"))
  table.sort(lines)
  return lines
end

describe("the module on a server", function()
  local name, token

  after_each(function()
    if name then spacetimedb.discard(name, token) end
    name = nil
  end)

  with_server("declares there what it declares in the engine, line by line", function()
    local fresh = spacetimedb.name()
    token = assert(spacetimedb.publish(fresh))
    name = fresh
    local here, there = engine_lines(), server_lines(spacetimedb.schema(name))
    assert.is_true(#here > 200)
    assert.equal(table.concat(here, "\n"), table.concat(there, "\n"))
  end)
end)
