-- `make check`: runs the rules that are programs and says which are broken.
--
--   lua5.4 scripts/check/all.lua [RULE...]     from the top folder, after `make`
--
-- Each rule is a file beside this one that returns a function(report). It calls report.fail(text) once per violation (a place and what
-- is wrong with it) and may call report.note(text) with a fact worth seeing. The exit status is 1 when any rule failed.

local RULES = { "layout", "layers", "symbols", "readme", "heads", "stubs", "plugins", "wasm", "luacheck" }

package.path = "scripts/check/?.lua;" .. package.path

local function run(name)
  local failures = 0
  local notes = {}
  local report = {
    fail = function(text)
      failures = failures + 1
      io.stderr:write(("check %s: %s\n"):format(name, text))
    end,
    note = function(text)
      notes[#notes + 1] = text
    end,
  }
  require(name)(report)
  local detail = #notes > 0 and "  (" .. table.concat(notes, "; ") .. ")" or ""
  print(("%-5s %s%s"):format(failures == 0 and "ok" or "FAIL", name, detail))
  return failures
end

local names = #arg > 0 and arg or RULES
local failures = 0
for _, name in ipairs(names) do
  failures = failures + run(name)
end
if failures > 0 then
  io.stderr:write(("make check: %d violation%s\n"):format(failures, failures == 1 and "" or "s"))
  os.exit(1)
end
