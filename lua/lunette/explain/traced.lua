---A method on tracing tensors: what lu.bake writes into files.
local options = require "lunette.base.options"

---Options of several maps, or of long work: a file has one map, at once.
local refused = { "classes", "top", "checkpoint" }


---@param row lunette.Method
---@param run lunette.TracedRun
---@param opts? table
---@param resolve fun(row: lunette.Method, net: lunette.Net, o: table)
---@return lunette.Traced map
return function(row, run, opts, resolve)
  local o = options.check(row.name, opts, row.options, 4)
  o.given = opts or {}
  for _, key in ipairs(refused) do
    if o.given[key] then error(("%s: %s cannot be baked"):format(row.name, key), 0) end
  end
  resolve(row, run.net, o)
  local map, finish = (row.traced or row.explain)(run, o), row.finish
  if type(finish) == "table" then finish = finish[o.dialect] end
  return finish and not o.raw and finish(map, o, run) or map
end
