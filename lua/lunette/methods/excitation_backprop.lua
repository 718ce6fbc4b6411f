local blame = require "lunette.base.blame"
local core = require "lunette.core"
local layers = require "lunette.layers"
local method = require("lunette.explain.method").new
local modifiers = require "lunette.modifiers"
local opt = require("lunette.base.options").opt
local relevance = require "lunette.explain.relevance"
local scores = require "lunette.score"
local tokens = require "lunette.explain.tokens"

---Marginal winning probability: shares by positive weights, no biases.
local rule = { "w_plus", epsilon = 1e-20, bias = 0 }
local winning = modifiers.new { name = "winning",
  { on = "weighted", rule = rule }, { on = "batch_norm", rule = "plain" } }

---The same where the classifier's weights are negated: what speaks against the class.
local negated = modifiers.new { name = "negated", on = modifiers.last "weighted",
  backward = function(node, dy)
    return node:backward(dy, { weight = -node.weight, rule = rule })
  end }


local function walk(run, o, more)
  return relevance.at(run, { composite = winning, modifiers = more, score = o.score,
                             at = o.at, exact = o.exact })
end


---The layer that the last weighted one reads.
local function classifier_input(run)
  local list = run.net:layers()
  for i = #list, 1, -1 do
    if layers.is(list[i], "weighted") and run:node(list[i].name) then
      return list[i].from[1]
    end
  end
  return nil
end


---Relevance at `o.layer` of what the classifier reads, pro less contra.
local function contrastive(run, o)
  local at = classifier_input(run)
  if not at or at == "input" then
    blame("excitation_backprop: contrast needs a layer before the last weighted one")
  end
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
  paper = "Zhang et al. 2016, Top-down neural attention by excitation backprop",
  options = {
    "score", "modifiers", layer = opt.layer("last", "where the shares are read"),
    contrast = opt.flag(false, "less what the negated classifier gives"),
  },
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
    local map = r:sum { dims = { 2 } }
    map = map:reshape { map:dim(1), r:dim(3), r:dim(4) }
    return o.contrast and core.ops.relu(map) or map
  end,
}
