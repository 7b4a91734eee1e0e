-- Packages from npm, for specs that compare with what others wrote: each installed once into a folder below build, which git ignores.

local npm = {}

--- Runs a shell command; whether it succeeded, and all it said. Node and npm do not run under a preloaded sanitizer; a program that
--- they start is built with it.
function npm.sh(command)
  local pipe = assert(io.popen("unset LD_PRELOAD; { " .. command .. "\n} 2>&1", "r"))
  local output = pipe:read("a")
  return pipe:close() == true, output
end

--- Where a package lies that was installed below a folder.
function npm.folder(folder, package)
  return ("%s/node_modules/%s"):format(folder, package)
end

local function installed(folder, package, version)
  local file = io.open(npm.folder(folder, package) .. "/package.json", "r")
  if not file then return false end
  local text = file:read("a")
  file:close()
  return text:find(('"version": "%s"'):format(version), 1, true) ~= nil
end

--- What is missing (node, npm, or the registry) for that version of a package to lie below a folder, where it is installed; nil when it does.
function npm.missing(folder, package, version)
  if installed(folder, package, version) then return nil end
  if not npm.sh("command -v npm") then return "npm is not installed" end
  local ok, output = npm.sh(("mkdir -p %s && printf '{\"private\":true}' > %s/package.json && cd %s && timeout 120 npm install --no-audit "
    .. "--no-fund --ignore-scripts --fetch-retries=1 --fetch-timeout=20000 %s@%s"):format(folder, folder, folder, package, version))
  if ok and installed(folder, package, version) then return nil end
  local said = output:match("[^\n]*npm ERR[^\n]*") or output:match("[^\n]*error[^\n]*") or "it gives no reason"
  return ("npm cannot install %s %s: %s"):format(package, version, said)
end

return npm
