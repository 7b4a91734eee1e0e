-- Names and state: every global symbol of the library starts with iu_ or luaopen_, the Lua module exports no other, and no object
-- holds writable data (a static one included): use `static const`, or a context. The one exception is the host's allocator, which is asked where no
-- context is.

local tree = require("tree")

local LIBRARY = "build/libinner_universe.a"
local MODULE = "build/lua/inner_universe/core.so"

local EXCEPTIONS = { ["core/base/alloc.o"] = { allocator = true } }

local function allowed(name)
  return name:match("^iu_") or name:match("^luaopen_")
end

local function check_names(report, command, what)
  for _, line in ipairs((tree.lines(command))) do
    local kind, name = line:match("^%x+%s+(%a)%s+(%S+)$")
    if kind and not allowed(name) then report.fail(("%s: the global symbol %s does not start with iu_"):format(what, name)) end
  end
end

-- Sections a program can write to; .data.rel.ro holds constants with addresses in them and is read-only once loaded.
local function writable(section)
  if section:match("^%.data%.rel%.ro") then return false end
  return section:match("^%.data") or section:match("^%.bss") or section:match("^%.tdata") or section:match("^%.tbss")
    or section == "*COM*"
end

local function check_state(report, object)
  for _, line in ipairs((tree.lines("objdump -t " .. object))) do
    -- value, seven flag characters, section, size, name
    local flags, section, name = line:match("^%x+ (.......) (%S+)%s+%x+%s+(.+)$")
    local excepted = EXCEPTIONS[object:gsub("^build/obj/release/", "")] or {}
    if flags and flags:find("O", 1, true) and writable(section) and not excepted[name] then
      report.fail(("%s: %s is writable (in %s)"):format(object, name, section))
    end
  end
end

return function(report)
  if not tree.exists(LIBRARY) then
    report.fail(LIBRARY .. " is not built")
    return
  end
  check_names(report, "nm -g --defined-only " .. LIBRARY, LIBRARY)
  check_names(report, "nm -D --defined-only " .. MODULE, MODULE)
  local entry = tree.lines("nm -D --defined-only " .. MODULE .. " | grep -w luaopen_inner_universe_core")
  if #entry == 0 then report.fail(MODULE .. " does not export luaopen_inner_universe_core") end
  local objects = 0
  for _, object in ipairs(tree.files("build/obj/release/core", "*.o")) do
    local source = object:gsub("^build/obj/release/", ""):gsub("%.o$", ".c")
    if tree.exists(source) then
      objects = objects + 1
      check_state(report, object)
    end
  end
  report.note(objects .. " objects")
end
