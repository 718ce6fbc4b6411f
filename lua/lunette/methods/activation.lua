local blame = require "lunette.base.blame"
local method = require("lunette.explain.method").new
local opt = require("lunette.base.options").opt


---One channel of an activation, (N,h,w) or (N,1).
local function channel_of(value, channel, layer)
  local k, count = math.tointeger(channel), value:dim(2)
  if not k or k < 1 or k > count then
    blame(("activation: layer '%s' has channels 1 .. %d, not %s"):format(layer.name,
          count, tostring(channel)))
  end
  return value:narrow { dim = 2, start = k, length = 1 }:sum { dims = { 2 } }
end


---Layer activation: what a layer puts out (captum's LayerActivation). The map has the
---layer's shape, (N,h,w) for one channel.
---Caveat: a large activation need not matter for the class; see lu.gradcam.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.activation(run, { layer = net:last_map().name }))
return method {
  name = "activation", family = "layer", draws = "channels", flat = false,
  paper = "captum, LayerActivation",
  options = {
    layer = opt.layer("last", "whose activated output"),
    channel = opt.maybe(opt.count(1, "one channel (from 1); default: all")),
  },
  explain = function(run, o)
    local value, message = run:activation(o.layer.name)
    if not value then blame("activation: " .. message) end
    -- values of its own: the run's must not change with them
    if not o.channel then return value:clone() end
    return channel_of(value, o.channel, o.layer)
  end,
}
