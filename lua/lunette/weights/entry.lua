---The entry of a parameter in a weights file, under our name or one of its layer's
---aliases (torchvision's module names).
---@param entries table<string, table>   by name, each with its `shape`
---@param layer lunette.Layer
---@param q table   parameter
---@return table? entry
return function(entries, layer, q)
  local e = entries[q.name]
  for _, alias in ipairs(layer.aliases) do
    e = e or entries[alias .. "." .. q.key]
  end
  return e
end
