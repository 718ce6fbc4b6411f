---Sizes of a network that its tensors tell: channels and units of its stages, as
---options of its table. So networks of a family are read that have no row there.
local M = {}


---A parameter's shape, or nil.
local function shape_of(mods, module, key)
  local m = mods.by_name[module]
  local p = m and m.params[key or "weight"]
  return p and p.shape
end


---What `unit(stage, i)` gives of every unit of every stage, both counted from 0, as
---long as it gives something.
local function stages_of(unit)
  local list = {}
  while unit(#list, 0) do
    local stage = unit(#list, 0)
    stage.units = 1
    while unit(#list, stage.units) do stage.units = stage.units + 1 end
    list[#list + 1] = stage
  end
  return #list > 0 and list or nil
end


---The channels of a Vision Transformer and its names of the projections, as options of
---its table. No file says how many heads there are.
---@param mods { by_name: table<string, lunette.import.Module> }
---@return table? options
function M.transformer(mods)
  local patch = shape_of(mods, "conv_proj")
  local inner = shape_of(mods, "encoder.layers.encoder_layer_0.mlp.0")
    or shape_of(mods, "encoder.layers.encoder_layer_0.mlp.linear_1")
  if not (patch and inner) then return nil end
  local width = patch[1]
  return { width = width, inner = inner[1],
           heads = width == 1280 and 16 or math.max(1, width // 64),
           separate = mods.by_name["encoder.layers.encoder_layer_0.self_attention"
                                   .. ".query.proj"] ~= nil }
end


local function convnext(mods)
  return stages_of(function(s, i)
    local w = shape_of(mods, ("features.%d.%d.block.0"):format(2 * s + 1, i))
    return w and { channels = w[1] }
  end)
end


local function regnet(mods)
  return stages_of(function(s, i)
    local w = shape_of(mods, ("trunk_output.block%d.block%d-%d.f.b.0"):format(s + 1,
                                                                              s + 1, i))
    return w and #w == 4 and { channels = w[1], group = w[2] }
  end)
end


---Has a RegNet squeeze and excite? Then it is a Y.
local function excites(mods)
  return mods.by_name["trunk_output.block1.block1-0.f.se.fc1"] ~= nil
end


---The row that stands for networks of its family with stages of their own, and these.
---@param mods { by_name: table<string, lunette.import.Module> }
---@return string? name
---@return { units: integer, channels: integer, group: integer? }[]? stages
function M.stages(mods)
  local stages = convnext(mods)
  if stages then return "convnext_tiny", stages end
  stages = regnet(mods)
  if not stages then return nil end
  return excites(mods) and "regnet_y_400mf" or "regnet_x_400mf", stages
end

return M
