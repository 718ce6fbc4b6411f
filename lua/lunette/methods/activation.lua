local common = require "lunette.explain.method"

---@class lunette.ActivationOptions : lunette.MethodOptions
---@field layer string        whose activated output
---@field channel? integer    one channel (from 1); default: all

---One channel of an activation, (N,h,w) or (N,1).
local function channel_of(value, channel, layer)
  local k, count = math.tointeger(channel), value:dim(2)
  if not k or k < 1 or k > count then
    error(("activation: layer '%s' has channels 1 .. %d, not %s"):format(layer.name,
          count, tostring(channel)), 0)
  end
  return value:narrow { dim = 2, start = k, length = 1 }:sum { dims = { 2 } }
end


---Layer activation: what a layer puts out (captum's LayerActivation).
---Caveat: a large activation need not matter for the class; see lu.gradcam.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.activation(run, { layer = net:last_conv().name }))
---@param subject lunette.Net|lunette.Run
---@param x lunette.Tensor|lunette.ActivationOptions
---@param opts? lunette.ActivationOptions
---@return lunette.Tensor map   (N, layer's shape), or (N,h,w) for one channel
local function activation(subject, x, opts)
  local run, o, made = common.prepare("activation", { layer = false, channel = false },
                                      subject, x, opts)
  local _ <close> = made and run or nil
  local layer, message = run.net:last_conv(), "no convolution; give a layer"
  if o.layer then layer, message = run.net:activated(o.layer) end
  if not layer then error("activation: " .. message, 0) end
  local value
  value, message = run:activation(layer.name)
  if not value then error("activation: " .. message, 0) end
  -- values of its own: the run's must not change with them
  value = o.channel and channel_of(value, o.channel, layer) or value:clone()
  return common.tell(value, "activation", run, o, { layer = layer.name,
                                                    channel = o.channel or nil })
end

return activation
