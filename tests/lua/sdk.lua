-- The official SDK from npm, for specs that compare with it: installed once into build/node, which git ignores.

local sdk = {}

local PACKAGE, VERSION = "spacetimedb", "2.10.1"
local FOLDER = "build/node"

sdk.folder = ("%s/node_modules/%s"):format(FOLDER, PACKAGE)
--- Where the programs are that these specs start.
sdk.built = os.getenv("INNER_UNIVERSE_TEST_SANITIZED") and "build/asan" or "build/test"

--- Runs a shell command; whether it succeeded, and all it said. Node and npm do not run under a preloaded sanitizer; a program that
--- they start is built with it.
function sdk.sh(command)
  local pipe = assert(io.popen("unset LD_PRELOAD; { " .. command .. "\n} 2>&1", "r"))
  local output = pipe:read("a")
  return pipe:close() == true, output
end

local function installed()
  local file = io.open(sdk.folder .. "/package.json", "r")
  if not file then return false end
  local text = file:read("a")
  file:close()
  return text:find(('"version": "%s"'):format(VERSION), 1, true) ~= nil
end

--- What is missing (node, npm, or the registry), or nil.
function sdk.missing()
  for _, program in ipairs({ "node", "npm" }) do
    if not sdk.sh("command -v " .. program) then return program .. " is not installed" end
  end
  if installed() then return nil end
  local ok, output = sdk.sh(("mkdir -p %s && printf '{\"private\":true}' > %s/package.json && cd %s && timeout 120 npm install --no-audit "
    .. "--no-fund --ignore-scripts --fetch-retries=1 --fetch-timeout=20000 %s@%s"):format(FOLDER, FOLDER, FOLDER, PACKAGE, VERSION))
  if ok and installed() then return nil end
  local said = output:match("[^\n]*npm ERR[^\n]*") or output:match("[^\n]*error[^\n]*") or "it gives no reason"
  return ("npm cannot install %s %s: %s"):format(PACKAGE, VERSION, said)
end

return sdk
