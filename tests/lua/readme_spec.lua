-- The first program of README.md runs as printed, and does what its comment says: it can be run twice.

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function read(path)
  local file = assert(io.open(path))
  local text = file:read("a")
  file:close()
  return text
end

describe("the README's first program", function()
  it("prints Ada once more each time it is run", function()
    local program = assert(read("README.md"):match("```lua\n(.-)```"), "README.md holds no Lua program")
    local folder = assert(io.popen("mktemp -d")):read("l")
    local file = assert(io.open(folder .. "/hello.lua", "w"))
    file:write(program)
    file:close()
    for run = 1, 2 do
      local pipe = assert(io.popen(("cd %s && lua5.4 hello.lua 2>&1"):format(quote(folder))))
      local output = pipe:read("a")
      local ok = pipe:close()
      assert.is_true(ok, output)
      assert.equal(run, select(2, output:gsub("\tAda\t36\n", "")), output)
    end
    os.execute("rm -rf " .. quote(folder))
  end)
end)
