-- Busted's own command line, under whichever Lua runs this file (Debian's `busted` starts the Lua that `lua` happens to be).
require("busted.runner")({ standalone = false })
