local common = require "lunette.methods.common"

---@class lunette.ActivationOptions : lunette.MethodOptions
---@field layer string        whose activated output
---@field channel? integer    one channel (from 1); default: all

---Layer activation: what a layer puts out (captum's LayerActivation).
---@param subject lunette.Net|lunette.Run
---@param x lunette.Tensor|lunette.ActivationOptions
---@param opts? lunette.ActivationOptions
---@return lunette.Tensor map   (N, layer's shape), or (N,h,w) for one channel
local function activation(subject, x, opts)
  local run, o, made = common.prepare("activation", { layer = false, channel = false },
                                      subject, x, opts)
  local scope <close> = made and run or nil
  local layer = o.layer and run.net:activated(o.layer) or run.net:last_conv()
  if o.layer and not run.net:layer(o.layer) then
    error("activation: " .. select(2, run.net:layer(o.layer)), 2)
  end
  local value = run:activation(layer.name):detach()
  if o.channel then
    if o.channel < 1 or o.channel > value:dim(2) then
      error(("activation: layer '%s' has channels 1 .. %d, not %d"):format(layer.name,
            value:dim(2), o.channel), 2)
    end
    value = value:narrow { dim = 2, start = o.channel, length = 1 }
      :sum { dims = { 2 } }
  end
  return common.tell(value, "activation", run, o, { layer = layer.name,
                                                    channel = o.channel or nil })
end

return activation
