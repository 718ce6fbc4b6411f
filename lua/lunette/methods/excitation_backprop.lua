local between = require "lunette.modifiers.between"
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local layers = require "lunette.layers"
local method = require("lunette.explain.method").new
local modifiers = require "lunette.modifiers"
local opt = require("lunette.base.options").opt
local relevance = require "lunette.explain.relevance"
local scores = require "lunette.score"
local tokens = require "lunette.explain.tokens"

---Marginal winning probability: shares by positive weights, no biases; sums and average
---poolings share by what they add up, batch norms hand on.
local rule = { "w_plus", epsilon = 1e-20, bias = 0 }
local winning = modifiers.new { name = "winning",
  { on = "weighted", rule = rule },
  { on = between.sums.on, rule = { "norm", epsilon = 1e-20 } },
  { on = "batch_norm", rule = "identity" } }

---The same where the classifier's weights are negated: what speaks against the class.
local negated = modifiers.new { name = "negated", on = modifiers.last "weighted",
  backward = function(node, dy)
    return node:backward(dy, { weight = -node.weight, rule = rule })
  end }


local function walk(run, o, more)
  return relevance.at(run, { composite = winning, modifiers = more, score = o.score,
                             at = o.at, exact = o.exact })
end


---The classifier: the last weighted layer.
local function classifier(run)
  local list = run.net:layers()
  for i = #list, 1, -1 do
    if layers.is(list[i], "weighted") and run:node(list[i].name) then return list[i] end
  end
  return nil
end


---The last map of a larger size than what the classifier reads.
local function larger_map(net, at)
  local read = net:layer(at)
  for i = read.index, 1, -1 do
    local layer = net:layers()[i]
    if #layer.shape == 3 and layer.shape[2] > (read.shape[2] or 1) then return layer end
  end
  return nil
end


---What the classifier reads, if the layer asked for lies before it.
local function read_by_classifier(run, o)
  local last = classifier(run)
  local at = last and last.from[1]
  if not at or at == "input" then
    blame("excitation_backprop: contrast needs a layer before the last weighted one")
  end
  if o.layer.index >= last.index then
    local earlier = larger_map(run.net, at)
    blame(("excitation_backprop: contrast reads layers before the classifier '%s', and "
           .. "'%s' is not%s"):format(last.name, o.layer.name, earlier
           and (', e.g. layer = "%s"'):format(earlier.name) or ""))
  end
  return at
end


---Relevance at `o.layer` of what the classifier reads, pro less contra.
local function contrastive(run, o)
  local at = read_by_classifier(run, o)
  local more, against = { table.unpack(o.modifiers) }, { table.unpack(o.modifiers) }
  against[#against + 1] = negated
  local own = { score = o.score, at = at, exact = true }
  local difference = walk(run, own, more) - walk(run, own, against)
  local score = scores.new("contrast", function(output)
    local n = output:dim(1)
    return (output * difference):reshape { n, output:size() // n }:sum { dims = { 2 } }
  end, at)
  return walk(run, { score = score, at = o.layer.name }, o.modifiers)
end


---Over the channels: (N,C,H,W) to (N,H,W).
local function summed(r)
  return r:sum { dims = { 2 } }:reshape { r:dim(1), r:dim(3), r:dim(4) }
end


---Maps that are what rounding leaves where all channels' shares cancel: 0.
local function without_roundings(map, r)
  local function most(x) return x:max { dims = { 2, 3 }, keepdims = 1 } end
  return map * most(map:abs()):gt(most(summed(r:abs())) * 1e-5)
end


---Excitation backprop (Zhang et al. 2016, as TorchRay has it): every unit hands 1 back
---in shares x W+, without biases, down to `layer`; summed over its channels. With
---`contrast` what a classifier of the negated weights gets is taken off where the
---last layer reads, and what remains below 0 at the end is cut.
---Caveat: shares are of positive weights alone, so that only `contrast` says for which
---  of two classes a part speaks.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.excitation_backprop(run, { layer = "block3_conv3", contrast = true }))
return method {
  name = "excitation_backprop", family = "relevance", draws = "overlay",
  slopeless = true,
  paper = "Zhang et al. 2016, Top-down neural attention by excitation backprop",
  options = {
    "score", "modifiers", layer = opt.layer("last", "where the shares are read"),
    contrast = opt.flag(false, "less what the negated classifier gives"),
  },
  flat = "no positive share reaches that layer, or pro and contra cancel at every "
    .. "place, as before a classifier that reads each place by itself; an earlier "
    .. "layer may show something",
  keeps = function(_, o) return o.layer end,
  explain = function(run, o)
    local r = o.contrast and contrastive(run, o)
      or walk(run, { score = o.score, at = o.layer.name }, o.modifiers)
    local grid = tokens.grid_of(run.net, o.layer)
    if grid then r = tokens.map(r, grid) end
    if r:dim() ~= 4 then
      blame(("excitation_backprop: layer '%s' has no height and width"):format(
            o.layer.name))
    end
    local map = summed(r)
    return o.contrast and core.ops.relu(without_roundings(map, r)) or map
  end,
}
