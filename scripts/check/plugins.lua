-- Each plugin is a folder with manifest.lua (plain data named after the folder, readable without running the plugin), init.lua and
-- README.md; it requires the public module and its own files, nothing else of the tree; lua/ requires no plugin.

local tree = require("tree")

local function requires_of(path)
  local names = {}
  local code = tree.read(path):gsub("%-%-[^\n]*", "")
  for name in code:gmatch("%f[%w_]require%s*%(?%s*[\"']([^\"']+)[\"']") do
    names[#names + 1] = name
  end
  return names
end

local function check_manifest(report, folder, name)
  local chunk, message = load(tree.read(folder .. "/manifest.lua"), "@" .. folder .. "/manifest.lua", "t", {})
  if not chunk then
    report.fail(message)
    return
  end
  local ok, manifest = pcall(chunk)
  if not ok or type(manifest) ~= "table" then
    report.fail(folder .. "/manifest.lua is not plain data: " .. tostring(manifest))
    return
  end
  for _, key in ipairs({ "name", "version", "api" }) do
    if type(manifest[key]) ~= "string" then report.fail(("%s/manifest.lua: %s is no string"):format(folder, key)) end
  end
  if manifest.name ~= name then report.fail(("%s/manifest.lua names itself %s"):format(folder, tostring(manifest.name))) end
end

return function(report)
  local count = 0
  for _, folder in ipairs((tree.lines("find plugins -mindepth 1 -maxdepth 1 -type d | sort"))) do
    count = count + 1
    local name = folder:match("([^/]+)$")
    local complete = true
    for _, file in ipairs({ "manifest.lua", "init.lua", "README.md" }) do
      if not tree.exists(folder .. "/" .. file) then
        report.fail(folder .. " has no " .. file)
        complete = false
      end
    end
    if complete then check_manifest(report, folder, name) end
    for _, path in ipairs(tree.files(folder, "*.lua")) do
      for _, required in ipairs(requires_of(path)) do
        if required:match("^inner_universe%.") and not required:find("inner_universe.plugins." .. name, 1, true) then
          report.fail(("%s requires %s; a plugin uses the public module inner_universe only"):format(path, required))
        end
      end
    end
  end
  for _, path in ipairs(tree.files("lua", "*.lua")) do
    for _, required in ipairs(requires_of(path)) do
      if required:match("^inner_universe%.plugins%.") then report.fail(path .. " requires the plugin module " .. required) end
    end
  end
  report.note(count .. " plugins")
end
