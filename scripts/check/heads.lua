-- Every source file begins with a comment: what it is, who owns what, the legal order of calls, cost.

local tree = require("tree")

return function(report)
  for _, path in ipairs(tree.files("core tests/c", "*.[ch]")) do
    if not tree.read(path):match("^%s*/%*") then report.fail(path .. " does not begin with a comment") end
  end
  for _, path in ipairs(tree.files("lua plugins scripts tests", "*.lua")) do
    local text = tree.read(path):gsub("^#![^\n]*\n", "")
    if not text:match("^%s*%-%-") then report.fail(path .. " does not begin with a comment") end
  end
end
