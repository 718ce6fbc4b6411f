-- luarocks --lua-version=5.4 make: builds this checkout and installs it as a rock.
-- The libraries that building needs are named in deps.txt (kind "build"); on Debian
-- `make deps` installs them.
rockspec_format = "3.0"
package = "lunette"
version = "dev-1"
source = { url = "." } -- `luarocks make` takes the checkout that it stands in
description = {
  summary = "Shows what a convolutional network looked at",
  detailed = [[
Saliency, Grad-CAM, integrated gradients, relevance propagation and some fifty methods
more, with backward rules written in Lua, on a core in C.]],
  license = "MIT",
}
dependencies = { "lua >= 5.4, < 5.5", "argparse", "luafilesystem" }
supported_platforms = { "linux" }
build = {
  type = "make",
  build_target = "all",
  build_variables = { LUA = "$(LUA)" },
  install_target = "install-lua",
  install_variables = {
    LUA = "$(LUA)", BINDIR = "$(BINDIR)", LMOD = "$(LUADIR)", CMOD = "$(LIBDIR)",
    SHARE = "$(LUADIR)/lunette/share", LIBEXEC = "$(LIBDIR)/lunette",
  },
}
