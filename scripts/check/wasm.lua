-- The freestanding module: build/inner_universe.wasm imports functions of `spacetime_10.0` only and exports what a server calls.
-- Builds it where clang and wasm-ld are; without them the rule is left out, except in continuous integration (CI is set) and under
-- `make module`, where it must hold.

local tree = require("tree")

local FILE = "build/inner_universe.wasm"
local HOST = "spacetime_10.0"
local IMPORT_SECTION, EXPORT_SECTION = 2, 7
local FUNCTION = 0
local WANTED = { "memory", "__describe_module__", "__call_reducer__" }

-- Unsigned LEB128 at `at`: value and the position behind it.
local function leb(bytes, at)
  local value, shift = 0, 0
  while true do
    local byte = assert(bytes:byte(at), "the file ends inside a number")
    value = value | (byte & 0x7f) << shift
    at, shift = at + 1, shift + 7
    if byte < 0x80 then return value, at end
    assert(shift < 64, "a number is too long")
  end
end

local function text(bytes, at)
  local length
  length, at = leb(bytes, at)
  return bytes:sub(at, at + length - 1), at + length
end

-- Calls visit(section id, position of its content) for each section of a wasm binary.
local function each_section(bytes, visit)
  assert(bytes:sub(1, 8) == "\0asm\1\0\0\0", "not a wasm 1 binary")
  local at = 9
  while at <= #bytes do
    local length, content = leb(bytes, at + 1)
    visit(bytes:byte(at), content)
    at = content + length
  end
end

-- A list of { module, name, kind }. Reading stops at the first import that is not a function: its description has another shape,
-- and it is refused anyway.
local function read_imports(bytes, at, found)
  local count
  count, at = leb(bytes, at)
  for _ = 1, count do
    local entry = {}
    entry.module, at = text(bytes, at)
    entry.name, at = text(bytes, at)
    entry.kind = bytes:byte(at)
    found[#found + 1] = entry
    if entry.kind ~= FUNCTION then return end
    _, at = leb(bytes, at + 1)
  end
end

local function read_exports(bytes, at, found)
  local count, name
  count, at = leb(bytes, at)
  for _ = 1, count do
    name, at = text(bytes, at)
    found[name] = true
    _, at = leb(bytes, at + 1)
  end
end

local function read_module(bytes)
  local imports, exports = {}, {}
  each_section(bytes, function(section, at)
    if section == IMPORT_SECTION then read_imports(bytes, at, imports) end
    if section == EXPORT_SECTION then read_exports(bytes, at, exports) end
  end)
  return imports, exports
end

return function(report)
  if not (tree.has_command("clang") and tree.has_command("wasm-ld")) then
    if os.getenv("CI") then
      report.fail("clang or wasm-ld is not installed")
    else
      report.note("left out: needs clang and wasm-ld")
    end
    return
  end
  local output, built = tree.lines("make --no-print-directory " .. FILE .. " 2>&1")
  if not built then
    report.fail("make " .. FILE .. " failed\n" .. table.concat(output, "\n"))
    return
  end
  local bytes = tree.read(FILE)
  local ok, found, exports = pcall(read_module, bytes)
  if not ok then
    report.fail(FILE .. ": " .. tostring(found))
    return
  end
  for _, entry in ipairs(found) do
    if entry.module ~= HOST or entry.kind ~= FUNCTION then
      report.fail(("%s imports %s.%s (kind %d); only functions of %s may be imported"):format(FILE, entry.module, entry.name,
        entry.kind, HOST))
    end
  end
  for _, name in ipairs(WANTED) do
    if not exports[name] then report.fail(("%s does not export %s"):format(FILE, name)) end
  end
  report.note(("%d bytes, %d imports, all from %s"):format(#bytes, #found, HOST))
end
