---Tiny VGG (Wang et al. 2020, CNN Explainer): two blocks of two unpadded 3x3
---convolutions of ten channels, for 64x64 pictures of ten classes.
local M = {}

local classes = {
  "lifeboat", "ladybug", "pizza", "bell pepper", "school bus", "koala", "espresso",
  "red panda", "orange", "sport car",
}


---The layers of Tiny VGG, as a table for lu.net.
---@param opts? { classes?: integer, side?: integer, channels?: integer }
---@return table
function M.tiny_vgg(opts)
  opts = opts or {}
  local side, c = opts.side or 64, opts.channels or 10
  local n = opts.classes or #classes
  return {
    name = "tiny_vgg", input = { 3, side, side },
    preprocessing = { mean = { 0, 0, 0 }, std = { 1, 1, 1 }, order = "rgb",
                      scale = 1 / 255 },
    labels = n == #classes and classes or nil,
    layers = {
      { "conv_1_1", "conv2d", filters = c, kernel = 3 },
      { "relu_1_1", "relu" },
      { "conv_1_2", "conv2d", filters = c, kernel = 3 },
      { "relu_1_2", "relu" },
      { "max_pool_1", "max_pool2d", kernel = 2, stride = 2, aliases = { "pool_1" } },
      { "conv_2_1", "conv2d", filters = c, kernel = 3 },
      { "relu_2_1", "relu" },
      { "conv_2_2", "conv2d", filters = c, kernel = 3 },
      { "relu_2_2", "relu" },
      { "max_pool_2", "max_pool2d", kernel = 2, stride = 2, aliases = { "pool_2" } },
      { "flatten", "flatten" },
      { "output", "linear", units = n },
      { "softmax", "softmax" },
    },
  }
end

return M
