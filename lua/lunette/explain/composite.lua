local between = require "lunette.modifiers.between"
local modifier = require "lunette.modifiers.modifier"
local modifiers = require "lunette.modifiers"


---A composite from what scripts write: a name, a modifier, or a list of { on =, rule =
---}, to which the rules of what lies between the weighted layers are added.
---@param what any
---@return lunette.Modifier
return function(what)
  if type(what) ~= "table" or modifier.is(what) then return modifiers.of(what) end
  local spec = { name = what.name or "composite", relevance = true }
  for _, list in ipairs { what, between.entries } do
    for _, entry in ipairs(list) do spec[#spec + 1] = entry end
  end
  return modifiers.new(spec)
end
