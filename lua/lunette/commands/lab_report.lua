---`lunette lab_report`: the script of that name.
local paths = require "lunette.base.paths"


---@param args string[]
return function(args)
  local path = paths.scripts() .. "/lab_report.lua"
  arg = { [0] = path, table.unpack(args) } -- luacheck: globals arg
  assert(loadfile(path, "t"))(table.unpack(args))
end
