local apply = require "lunette.modifiers.apply"
local baselines = require "lunette.explain.baselines"
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local layer_paths = require "lunette.explain.layer_paths"
local method = require("lunette.explain.method").new
local opt = require("lunette.base.options").opt
local paths = require "lunette.explain.paths"
local sampling = require "lunette.explain.sampling"
local scores = require "lunette.score"
local types = require "lunette.base.types"


local function check_unit(v)
  local list = type(v) == "table" and v or { v }
  for _, n in ipairs(list) do
    if not types.is_count(n) then return "whole numbers from 1" end
  end
  return #list ~= 1 and #list ~= 3 and "a channel from 1, or {channel, y, x}" or nil
end


---1 at the unit, or all over its channel, 0 elsewhere: (1, the layer's shape).
local function mask_of(unit, layer)
  local at, shape = type(unit) == "table" and unit or { unit }, layer.shape
  for d, n in ipairs(at) do
    if n > (shape[d] or 1) then
      blame(("neuron_conductance: layer '%s' is (%s), it has no unit %s"):format(
            layer.name, table.concat(shape, ","), table.concat(at, ",")))
    end
  end
  local mask = core.zeros(1, table.unpack(shape))
  if #at == 1 then
    mask[1][at[1]] = 1
  else
    mask:set(1, at[1], at[2], at[3], 1)
  end
  return mask
end


---What the masked units hand on of the gradient at their layer.
local function through(layer, seed)
  return scores.new("through " .. layer.name, function(value)
    local product <close> = value * seed
    local each <close> = product:reshape { value:dim(1), value:size() // value:dim(1) }
    return each:sum { dims = { 2 } }
  end, layer.name)
end


local options = { unit = opt.any(1, "a channel (from 1), or {channel, y, x}",
                                 check_unit) }
for key, value in pairs(layer_paths.options) do
  options[math.type(key) == "integer" and #options + 1 or key] = value
end


---Neuron conductance (Dhamdhere et al. 2018; Shrikumar et al. 2018, as captum computes
---it): how much of the score's rise from a baseline to the picture is due to each pixel
---by way of one unit: (x - b) sum_i w_i dS/dA_n dA_n/dx at the points of the path. With
---a channel alone the way leads through all of its units. Signed, (N,C,H,W). Of several
---baselines the mean.
---Caveat: one unit is a small part of the way: the maps of a layer's units sum to
---  integrated gradients.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  local opts = { layer = "block4_conv3", unit = { 3, 2, 2 }, steps = 8,
---                 modifiers = { "linear" } }
---  show(lu.neuron_conductance(run, opts))
return method {
  name = "neuron_conductance", family = "layer", draws = "map",
  flat = "no path leads through that unit: it may be dead on the whole way",
  paper = "Shrikumar et al. 2018, Computationally efficient measures of internal "
    .. "neuron importance",
  options = options, keeps = sampling.keeps,
  explain = function(run, o)
    local alphas, weights = paths.rules[o.rule](o.steps)
    local x, mask = run.images, mask_of(o.unit, o.layer)
    local backward = apply.backward(o.modifiers)
    return baselines.mean(run, o, function(b, wish)
      return (x - b) * sampling.fold(run, {
        name = "neuron conductance", count = #alphas, batch = o.batch, score = o.score,
        modifiers = o.modifiers, progress = wish, fold = sampling.weighted(weights),
        make = paths.points(x, b, alphas),
      }, function(part, score)
        sampling.tell_changed(o, part)
        local above <close> = part:gradient { score = score, modifiers = o.modifiers,
                                              wrt = o.layer.name }
        local seed <close> = above * mask
        return part:gradient { score = through(o.layer, seed), modifiers = backward }
      end)
    end)
  end,
}
