-- What lies where: the top level holds exactly the names below and dot files; tests are named so that the runner finds them;
-- nothing that git is told to ignore (built or generated) is committed; no text holds a note to do something later.

local tree = require("tree")

local TOP = {
  core = true, lua = true, plugins = true, scripts = true, tests = true, rockspec = true,
  Makefile = true, ["README.md"] = true, LICENSE = true, ["CHANGELOG.md"] = true, build = true,
}

local function check_notes(report, path)
  local number = 0
  for line in (tree.read(path) .. "\n"):gmatch("(.-)\n") do
    number = number + 1
    if line:match("%f[%w]TO" .. "DO%f[%W]") or line:match("%f[%w]FIX" .. "ME%f[%W]") or line:match("%f[%w]XX" .. "X%f[%W]") then
      report.fail(("%s:%d: a note for later; do it or leave it out"):format(path, number))
    end
  end
end

return function(report)
  for _, name in ipairs((tree.lines("ls -A"))) do
    if not TOP[name] and not name:match("^%.") then report.fail("unexpected at the top level: " .. name) end
  end
  for _, path in ipairs(tree.files("tests/c", "*.c")) do
    if not path:match("^tests/c/[^/]+_test%.c$") then report.fail(path .. ": a C test is tests/c/<folder>_<subject>_test.c") end
  end
  for _, path in ipairs(tree.files("tests/lua", "*spec*.lua")) do
    if not path:match("^tests/lua/[^/]+_spec%.lua$") and not path:match("^tests/lua/behaviour/[^/]+_spec%.lua$") then
      report.fail(path .. ": the runner looks for tests/lua/*_spec.lua and tests/lua/behaviour/*_spec.lua")
    end
  end
  if tree.exists(".git/HEAD") and tree.has_command("git") then
    for _, path in ipairs((tree.lines("git ls-files -ci --exclude-standard"))) do
      report.fail(path .. " is committed although .gitignore names it")
    end
  end
  for _, pattern in ipairs({ "*.[ch]", "*.lua", "*.md" }) do
    for _, path in ipairs(tree.files("core lua plugins scripts tests rockspec README.md", pattern)) do
      check_notes(report, path)
    end
  end
end
