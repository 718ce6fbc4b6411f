---Modifiers with `linear` first where the network ends in a softmax, whose gradient
---says less: what commands call methods with.
---@param layer lunette.Layer   the output's
---@param list? string[]        more
---@return string[]
return function(layer, list)
  local soft = layer.kind == "softmax" or layer.kind == "log_softmax"
  return { soft and "linear" or nil, table.unpack(list or {}) }
end
