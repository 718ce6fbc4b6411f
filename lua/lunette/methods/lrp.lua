local method = require("lunette.explain.method").new
local opt = require("lunette.base.options").opt
local modifiers = require "lunette.modifiers"
local relevance = require "lunette.explain.relevance"


local function check_composite(what)
  local ok, message = pcall(modifiers.of, what)
  return not ok and tostring(message) or nil
end


---Says where relevance was lost, when that is more than 5 %.
local function warn_of_leak(run, o, start, reached)
  if math.abs(start - reached) <= 0.05 * math.abs(start) then return end
  local flow = relevance.flow(run, { score = o.score, composite = o.composite,
                                     modifiers = o.modifiers })
  local layer, share = flow:leak()
  require "lunette.base.warn"(("lrp: of relevance %.4g %.4g reached the picture; most "
    .. "is lost at '%s' (%.0f %%): lu.relevance.flow shows all"):format(start, reached,
    layer or "?", 100 * share))
end


---Layer-wise relevance propagation (Bach et al. 2015): the score is handed back through
---the network so that, but for what goes into biases and stabilisers, nothing of it is
---lost. `composite` says which rule every kind of layer has: a name (`lunette explain
----help` lists them) or a modifier made of rules. `from` "logit" begins with the score
---itself, "one_hot" with 1 (zennit's way). Signed, (N,C,H,W).
---Caveat: the map depends on the composite more than on the network; rules that keep
---  positive parts alone cannot show evidence against the class.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.lrp(run, { composite = "epsilon_plus" }))
return method {
  name = "lrp", draws = "map", flat = false,
  paper = "Bach et al. 2015, On pixel-wise explanations by layer-wise relevance",
  options = {
    "score", "modifiers",
    composite = opt.any("epsilon_plus", "which rules: a name, or a modifier",
                        check_composite),
    from = opt.choice("one_hot", { "one_hot", "logit" }, "what is handed back"),
  },
  explain = function(run, o)
    local mods = relevance.modifiers(run, o.composite, o.modifiers)
    local top = relevance.start(run, mods, o.score)
    local r, seed = run:gradient { score = o.score, modifiers = mods, exact = true,
                                   wrt = { "input", top.name } }
    local start, reached = seed:sum():item(), r:sum():item()
    if math.abs(start) > 1e-6 then warn_of_leak(run, o, start, reached) end
    if o.from == "logit" then
      local value = run:values(o.score, { modifiers = mods })
      for i = 1, run:count() do r[i] = r[i] * value[i] end
    end
    return r, { relevance_kept = start ~= 0 and reached / start or nil }
  end,
}
