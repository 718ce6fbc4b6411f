---A bias that is added by a layer of its own: it becomes that of the convolution or
---dense layer before it.
local has_bias = { conv2d = true, conv_transpose2d = true, linear = true }


---Does the parameter hold one number a channel (of maps), a unit (of rows)?
local function by_channel(g, layer, shape)
  local whole, n = g:shape(layer.name), 1
  for _, d in ipairs(shape) do n = n * d end
  local at = layer.kind == "linear" and #whole or 1 -- which dimension is meant
  if n ~= whole[at] or #shape > #whole then return false end
  return shape[#shape - (#whole - at)] == n
end


---The layer before a sum that could have its bias, and the parameter that is added.
local function layer_of(g, spec)
  if spec.kind ~= "add" then return nil end
  local name, other = g:split(spec)
  local layer = type(other) == "table" and g.by_name[name]
  if layer and has_bias[layer.kind] and layer.bias == false and g:read_once(layer)
     and by_channel(g, layer, other.shape) then
    return layer, other
  end
  return nil
end


---@param g table      of idioms.graph
---@param spec table   the sum
---@return table? made   what Graph:replace takes
return function(g, spec)
  local layer, other = layer_of(g, spec)
  if not layer then return nil end
  local bias = g:constant(spec, other.param)
  local weight = g:constant(layer, "weight")
  if not bias or not weight then return nil end
  return { kind = layer.kind, from = layer.from, inner = { layer },
           named = layer,
           attrs = g:attrs(layer, { bias = true }),
           params = { weight = weight,
                      bias = g:moved(bias, { layer.filters or layer.units }) } }
end
