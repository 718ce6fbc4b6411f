---Build facts, for bug reports.
local core = require "lunette.core"

local M = {}


---Version, kernels, threads and compiler, for bug reports.
---@return string   several lines
function M.text()
  local b = core.build()
  return table.concat({
    ("lunette %s (%s)"):format(b.version, b.commit),
    ("  kernels  %s, %d thread%s"):format(b.isa, b.threads,
      b.threads == 1 and "" or "s"),
    "  blas     " .. core.blas(),
    "  lua      " .. _VERSION,
    "  compiler " .. b.compiler,
  }, "\n")
end

return M
