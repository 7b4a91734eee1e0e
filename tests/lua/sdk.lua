-- The official SDK from npm, for specs that compare with it: installed once into build/node, which git ignores.

local npm = require "npm"

local sdk = {}

local PACKAGE, VERSION = "spacetimedb", "2.10.1"
local FOLDER = "build/node"

sdk.folder = npm.folder(FOLDER, PACKAGE)
sdk.sh = npm.sh
--- Where the programs are that these specs start.
sdk.built = os.getenv("INNER_UNIVERSE_TEST_SANITIZED") and "build/asan" or "build/test"

--- What is missing (node, npm, or the registry), or nil.
function sdk.missing()
  if not npm.sh("command -v node") then return "node is not installed" end
  return npm.missing(FOLDER, PACKAGE, VERSION)
end

return sdk
