-- Every folder that holds files has a README.md that says what lives there; links between files of the tree lead somewhere.

local tree = require("tree")

local function check_links(report, path)
  local folder = path:match("^(.*/)") or ""
  for target in tree.read(path):gmatch("%]%(([^)%s]+)%)") do
    if not target:match("^%a+:") and not target:match("^#") then
      local file = folder .. target:gsub("#.*$", "")
      local _, found = tree.lines(("test -e '%s'"):format(file))
      if not found then report.fail(("%s: the link to %s leads nowhere"):format(path, target)) end
    end
  end
end

return function(report)
  local count = 0
  local folders = tree.lines("find core lua plugins scripts tests rockspec -type f -not -path '*/.*' -printf '%h\\n' | sort -u")
  for _, folder in ipairs(folders) do
    count = count + 1
    if not tree.exists(folder .. "/README.md") then report.fail(folder .. " has no README.md") end
  end
  if not tree.exists("README.md") then report.fail("the top folder has no README.md") end
  for _, path in ipairs(tree.files("README.md CHANGELOG.md core lua plugins scripts tests rockspec", "*.md")) do
    check_links(report, path)
  end
  report.note(count .. " folders")
end
