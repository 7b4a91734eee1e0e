-- The table of caps in core/README.md: each is defined where it says, with the value it says, and the test that it names is there.

local UNITS = { KiB = 1024, MiB = 1024 * 1024 }

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

local function number_of(text)
  local digits, unit = text:match("^([%d,.]+) ?(%a*)$")
  return digits and tonumber((digits:gsub(",", ""))) * (UNITS[unit] or 1)
end

-- The value of a #define: numbers, shifts and sums of C.
local function defined(text, name)
  local value = text:match("#define " .. name .. "%s+([^\n]*)") or text:match("local " .. name .. " = ([^\n]*)")
  if not value then return nil end
  value = value:gsub("/%*.*", ""):gsub("%-%-.*", ""):gsub("U?INT64_C%((%d+)%)", "%1"):gsub("(%d)[uUlL]+", "%1")
  local chunk = load("return " .. value)
  return chunk and chunk()
end

describe("the table of caps", function()
  local rows = {}
  for line in read("core/README.md"):match("\n## Caps\n(.*)"):gmatch("[^\n]+") do
    local what, name, default, where, test, within = line:match("^| ([^|]+) | `([%w_]+)` | ([^|]+) | `([^`]+)` | `([^`]+)`: `([^`]+)` |$")
    if what then
      rows[#rows + 1] = { what = what, name = name, default = default, where = where, test = test, within = within }
    elseif line:match("^| .*`") then
      error("a row that is not understood: " .. line)
    end
  end

  it("is there", function() assert.is_true(#rows > 50) end)

  it("says where each is defined, and its value", function()
    for _, row in ipairs(rows) do
      local text = read(row.where)
      local value = defined(text, row.name)
      if value then
        assert.equal(number_of(row.default), value, row.name)
      else
        assert.truthy(text:find(row.name, 1, true), row.name .. " in " .. row.where)
        assert.falsy(row.name:match("^IU_"), row.name)
      end
    end
  end)

  it("names a test of each that is there", function()
    for _, row in ipairs(rows) do
      assert.truthy(read(row.test):find(row.within, 1, true), row.test .. ": " .. row.within)
    end
  end)

  it("names every cap of the engine, the client and the host", function()
    local named = {}
    for _, row in ipairs(rows) do named[row.name] = true end
    for _, path in ipairs({ "core/engine/engine.h", "core/engine/hosted.h", "core/client/client.h", "core/host/callee.h" }) do
      for name in read(path):gmatch("#define (IU_[%w_]+_MAX)%s") do assert.is_true(named[name], name .. " in " .. path) end
    end
  end)
end)
