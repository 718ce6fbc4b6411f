local method = require("lunette.explain.method").new

---Input times gradient: how much of a linear score each value of the picture makes
---(Shrikumar et al. 2016). Signed, (N,C,H,W).
---Caveat: depends on what the network counts as 0: a value of 0 gets nothing, whatever
---  it means.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.input_x_gradient(run, { modifiers = { "linear" } }))
return method {
  name = "input_x_gradient", family = "gradient", draws = "map",
  paper = "Shrikumar et al. 2016, Not just a black box",
  options = { "score", "modifiers" },
  explain = function(run, o)
    local g <close> = run:gradient { score = o.score, modifiers = o.modifiers }
    return run.images * g
  end,
}
