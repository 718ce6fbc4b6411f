---Units that answer to no picture.
local core = require "lunette.core"
local each_batch = require "lunette.features.each_batch"
local options = require "lunette.base.options"
local opt = options.opt


---The channels of a layer that are at no place of any of these pictures above `above`:
---dead, as far as the pictures tell.
---Caveat: of few pictures most units of a deep layer may be silent; give many.
---Example:
---  local net = lu.load "glyphs"
---  local scenes = lu.glyphs.default_images(4).images
---  local dead, most = lu.features.dead(net, "block5_conv3", scenes)
---  print(#dead, "of", most:size())
---@param net lunette.Net
---@param name string      layer; its activation counts
---@param pictures string|any[]   a folder, or a list of paths, folders and tensors
---  (3,H,W) of 0..255
---@param opts? table      above = 0; batch = 8
---@return integer[] channels   from 1
---@return lunette.Tensor most  (C): the largest value of every channel
return function(net, name, pictures, opts)
  local o = options.check("dead", opts, {
    above = opt.number(0, "what counts as active"),
    batch = opt.count(8, "pictures at a time"), progress = true })
  local layer, most = each_batch.check("dead", net, name), nil
  pictures = each_batch.pictures("dead", pictures)
  each_batch.run("dead", net, layer, pictures, o, function(A)
    local n, c = A:dim(1), A:dim(2)
    local each = A:reshape { n, c, A:size() // (n * c) }:max { dims = { 1, 3 } }
    each = each:reshape { c }
    most = most and core.ops.maximum(most, each) or each
  end)
  local dead = {}
  for k = 1, most:size() do
    if most[k] <= o.above then dead[#dead + 1] = k end
  end
  return dead, most
end
