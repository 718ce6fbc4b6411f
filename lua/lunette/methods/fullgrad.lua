local method = require("lunette.explain.method").new
local scored = require "lunette.net.scored"
local scores = require "lunette.score"


---Every channel by itself from 0 to 1, as large as the picture, summed.
local function summed(values, size)
  local n, k, h, w = table.unpack(values:shape())
  local each = values:reshape { n * k, 1, h, w }:normalize()
    :resize(size[2], size[3])
  return each:reshape { n, k, size[2], size[3] }:sum { dims = { 2 } }
end


---What a layer adds to all it puts out: a convolution's bias, or what is left of a
---batch norm without its scale: beta - mean gamma / sqrt(var + eps).
local function bias_of(run, layer)
  local p = run.net:params_of(layer)
  if layer.kind == "batch_norm" then
    local scale = p.weight / (p.running_var + (layer.eps or 1e-5)):sqrt()
    return p.bias - p.running_mean * scale
  end
  return p.bias
end


---The last layer that a score looks at, by its number: the scored one (a convolution
---with its activation), or the output.
local function last_of(run, score)
  local resolved = scores.resolve(score, run)
  local name = resolved.layer
  local layer = name and run.net:activated(name) or scored.output(run, resolved)
  return layer.index
end


---Layers with a bias on the way to the score.
local function biased(run, score)
  local list, last = {}, last_of(run, score)
  for _, layer in ipairs(run.net:layers()) do
    local kind = layer.kind == "conv2d" or layer.kind == "conv_transpose2d"
      or layer.kind == "batch_norm"
    if kind and layer.index <= last and bias_of(run, layer) then
      list[#list + 1] = layer
    end
  end
  return list
end


---FullGrad (Srinivas & Fleuret 2019, as pytorch-grad-cam computes it): input times
---gradient and bias times gradient of every convolution and batch norm, absolute,
---each channel scaled to 0 .. 1, summed.
---Caveat: every channel counts alike, however little it adds; dense layers' biases are
---  left out.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.fullgrad(run, { modifiers = { "linear" } }))
return method {
  name = "fullgrad", family = "gradient", draws = "overlay",
  paper = "Srinivas & Fleuret 2019, Full-gradient representation",
  options = { "score", "modifiers", "normalize" },
  explain = function(run, o)
    local layers, wrt = biased(run, o.score), {}
    for i, layer in ipairs(layers) do wrt[i] = layer.name end
    local size, how = run.net.input, { score = o.score, modifiers = o.modifiers }
    local map = summed((run:gradient(how) * run.images):abs(), size)
    how.exact = true
    for i, layer in ipairs(layers) do
      how.wrt = wrt[i]
      local g, b = run:gradient(how), bias_of(run, layer)
      map:add_(summed((g * b:view(1, b:size(), 1, 1)):abs(), size))
    end
    return map
  end,
  finish = function(map, o) return o.normalize and map:normalize() or map end,
}
