---ConvNeXt (Liu et al. 2022), names as torchvision has them: a depthwise 7x7, layer
---norm over the channels, two dense layers on every place (here 1x1 convolutions), all
---scaled and added to what came in.
local Blocks = require "lunette.models.blocks"


---Units a stage; channels of the first, which every stage doubles.
local rows = {
  convnext_tiny = { 3, 3, 9, 3, channels = 96 },
  convnext_small = { 3, 3, 27, 3, channels = 96 },
  convnext_base = { 3, 3, 27, 3, channels = 128 },
  convnext_large = { 3, 3, 27, 3, channels = 192 },
}


---Layer norm over the channels of every place.
local function norm(b, name)
  return b:add { name, "layer_norm", dim = 2, last = 2, eps = 1e-6 }
end


---Layer scale: a number for every channel.
local function scaled(b, name, channels)
  local scale = { param = "layer_scale", shape = { channels, 1, 1 } }
  return b:add { name .. ".scaled", "mul", from = { b.last, scale },
                 aliases = { name } }
end


local function unit(b, name, channels)
  local from, inner = b.last, name .. ".block."
  b:add { inner .. "0", "conv2d", filters = channels, kernel = 7, padding = 3,
          groups = channels }
  norm(b, inner .. "2")
  b:add { inner .. "3", "conv2d", filters = 4 * channels, kernel = 1 }
  b:add { inner .. "4", "gelu" }
  b:add { inner .. "5", "conv2d", filters = channels, kernel = 1 }
  b:add { name .. ".add", "add", from = { scaled(b, name, channels), from },
          aliases = { name } }
end


---The stages of a row.
---@return { units: integer, channels: integer }[]
local function stages_of(row)
  local list = {}
  for s, units in ipairs(row) do
    list[s] = { units = units, channels = row.channels << (s - 1) }
  end
  return list
end


---`stages` are others than the row's.
local function build(name, opts)
  local b, stages = Blocks.new(), opts.stages or stages_of(rows[name])
  b:add { "features.0.0", "conv2d", filters = stages[1].channels, kernel = 4,
          stride = 4 }
  norm(b, "features.0.1")
  for s, stage in ipairs(stages) do
    for i = 1, stage.units do
      unit(b, ("features.%d.%d"):format(2 * s - 1, i - 1), stage.channels)
    end
    if s < #stages then
      norm(b, ("features.%d.0"):format(2 * s))
      b:add { ("features.%d.1"):format(2 * s), "conv2d",
              filters = stages[s + 1].channels, kernel = 2, stride = 2 }
    end
  end
  b:add { "avgpool", "global_avg_pool" }
  norm(b, "classifier.0")
  b:add { "flatten", "flatten" }
  b:add { "classifier.2", "linear", units = opts.classes or 1000 }
  b:add { "softmax", "softmax" }
  return b:arch(opts.stages and "convnext" or name, opts)
end


return Blocks.family(rows, build)
