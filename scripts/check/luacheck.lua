-- luacheck over all Lua, by the rules of .luacheckrc.

local tree = require("tree")

return function(report)
  if not tree.has_command("luacheck") then
    report.fail("luacheck is not installed; scripts/install-deps test")
    return
  end
  local paths = "lua plugins scripts tests rockspec"
  local scripts = tree.lines("grep -rlE '^#!.*lua' scripts 2>/dev/null | grep -v '\\.lua$'")
  local output, ok = tree.lines("luacheck -q --codes --no-color --include-files '**/*.lua' '**/*.rockspec' -- "
    .. paths .. " " .. table.concat(scripts, " ") .. " 2>&1")
  if not ok then
    for _, line in ipairs(output) do
      if line:match(":%d+:%d+:") or line:match("^Critical error") then report.fail((line:gsub("^%s+", ""))) end
    end
    if #output == 0 then report.fail("luacheck failed without a word") end
  end
end
