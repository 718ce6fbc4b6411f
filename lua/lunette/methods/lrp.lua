local blame = require "lunette.base.blame"
local composite_of = require "lunette.explain.composite"
local method = require("lunette.explain.method").new
local opt = require("lunette.base.options").opt
local relevance = require "lunette.explain.relevance"


local function check_composite(what)
  local ok, message = pcall(composite_of, what)
  if ok then return nil end
  return blame.bare(message), true
end


---Says where relevance was lost, when that is more than 5 %, at one layer or in all.
local function warn_of_leak(flow)
  local layer, share, row = flow:leak()
  local gone = math.abs(flow.start - flow.reached) / math.abs(flow.start)
  if not layer or math.max(share, gone) <= 0.05 then return nil end
  local why = flow:why(row)
  require "lunette.base.warn"(("lrp: of relevance %.4g %.4g reached the picture; most "
    .. "is lost at '%s' (%.0f %%%s); lu.relevance.flow shows all"):format(flow.start,
    flow.reached, layer, 100 * share, why ~= "" and ": " .. why or ""))
  return ("%s (%.0f %%)"):format(layer, 100 * share)
end


local function asked(o)
  return { score = o.score, composite = o.composite, from = o.from,
           canonise = o.canonise, modifiers = o.modifiers }
end


---Layer-wise relevance propagation (Bach et al. 2015): the score is handed back through
---the network so that, but for what goes into biases and stabilisers, nothing of it is
---lost; where more than 5 % is, a warning names the layer that loses most, and
---`lu.relevance.flow` shows all. `composite` says which rule every kind of layer has: a
---name (`lunette explain --help` lists them), a modifier made of rules, or a list of
---{ on =, rule = }. `from` is what is handed back: "one_hot" 1 for the class (zennit's
---way), "logit" the score itself, "output" all outputs, "contrast" 1 for the class,
---minus 1 for all others together. `canonise`: batch norms count as part of the
---convolution before them. Signed, (N,C,H,W).
---Caveat: the map depends on the composite more than on the network; rules that keep
---  positive parts alone cannot show evidence against the class.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.lrp(run, { composite = "epsilon_plus" }))
return method {
  name = "lrp", family = "relevance", draws = "map", flat = false,
  paper = "Bach et al. 2015, On pixel-wise explanations by layer-wise relevance",
  options = {
    "score", "modifiers",
    composite = opt.any("epsilon_plus", "which rules: a name, or a modifier",
                        check_composite),
    from = opt.choice("one_hot", relevance.from, "what is handed back"),
    canonise = opt.flag(true, "batch norms are part of the layer before them"),
  },
  explain = function(run, o)
    local flow, r = relevance.flow(run, asked(o))
    return r, { relevance_kept = flow.start ~= 0 and flow.reached / flow.start or nil,
                relevance_lost_at = math.abs(flow.start) > 1e-6 and warn_of_leak(flow)
                  or nil }
  end,
  traced = function(run, o) return relevance.at(run, asked(o)) end,
}
