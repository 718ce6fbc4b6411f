local inner = require "lunette.explain.inner" (function()
  return require "lunette.methods"
end)
local lowpass = require "lunette.explain.lowpass"
local method = require("lunette.explain.method").new
local opt = require("lunette.base.options").opt

---FORGrad (Muzellec et al. 2024): another method's map without its high frequencies,
---which gradients of networks with pooling and strides have of the network's own, not
---of the picture. `of` names the method, `with` its options; the map's size (|map|, the
---maximum over channels) is filtered: frequencies up to `cutoff` periods a side, down
---and across, stay. (N,H,W).
---Caveat: what is finer than the cutoff is lost, true or not; values may fall below 0
---  beside sharp edges.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.forgrad(run, { of = "saliency", cutoff = 8, modifiers = { "linear" } }))
return method {
  name = "forgrad", family = "gradient", draws = "map", within = inner.within,
  paper = "Muzellec et al. 2024, Saliency strikes back: how filtering out high "
    .. "frequencies improves white-box explanations",
  options = {
    "score", "modifiers",
    of = inner.option, with = inner.with,
    cutoff = opt.count(15, "the highest frequency that stays, periods a side", 0),
  },
  explain = function(run, o)
    local map = inner.map(run, o):abs()
    if map:dim() == 4 then map = map:max { dims = { 2 } } end
    return lowpass(map, o.cutoff)
  end,
}
