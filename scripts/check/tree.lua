-- What the rules share: reading files and commands, and the files of the tree.

local tree = {}

function tree.read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

function tree.exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

-- The lines a command prints, and whether it succeeded.
function tree.lines(command)
  local pipe = assert(io.popen(command, "r"))
  local lines = {}
  for line in pipe:lines() do
    lines[#lines + 1] = line
  end
  return lines, pipe:close() == true
end

-- Files below the folders given whose names match the shell pattern, sorted; folders that do not exist are left out.
function tree.files(folders, pattern)
  return (tree.lines(("find %s -name '%s' -type f 2>/dev/null | sort"):format(folders, pattern)))
end

function tree.has_command(name)
  local _, found = tree.lines("command -v " .. name .. " 2>/dev/null")
  return found
end

-- C text without comments and string contents, so that a rule does not trip over prose.
function tree.c_code(path)
  local text = tree.read(path)
  return (text:gsub("/%*.-%*/", " "):gsub("//[^\n]*", ""))
end

return tree
