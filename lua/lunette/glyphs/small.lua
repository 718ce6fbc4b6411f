---The embedded network for smaller scenes: its convolutions do not know how large a
---picture is, and fc1's weights are the same at all 49 places (recipe.lua), so that
---their mean does for any number of them. At 64 pixels it costs a twelfth and is right
---of 85 scenes in a hundred, before it has learned from any.
local glyphs = require "lunette.glyphs"
local models = require "lunette.models"
local nets = require "lunette.net"


---@param net lunette.Net    the embedded network, or one that was trained from it
---@param side integer       pixels, a multiple of 32
---@return lunette.Net       its own weights
local function small(net, side)
  local old = net.params["fc1.weight"]
  local units, channels = old:dim(1), net.params["block5_conv3.bias"]:size()
  local from, to = old:dim(2) // channels, (side // 32) ^ 2 // 1 | 0
  local out = assert(nets.new(models.vgg16 {
    width = channels / 512, fc = units, classes = #glyphs.names, side = side,
    preprocessing = glyphs.preprocessing,
  })):init(0)
  for name, p in pairs(net.params) do
    if name ~= "fc1.weight" then out.params[name] = p:clone() end
  end
  local mean = old:reshape { shape = { units, channels, from } }
    :mean { dims = { 3 }, keepdims = true } * (from / to)
  out.params["fc1.weight"] = mean:expand { shape = { units, channels, to } }
    :reshape { shape = { units, channels * to } }:clone()
  out.labels = glyphs.names
  return out
end

return small
