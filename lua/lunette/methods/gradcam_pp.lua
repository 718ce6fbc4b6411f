local cam = require("lunette.explain.cam").new


---pytorch-grad-cam: a = g^2 / (2 g^2 + g^3 sum A + 1e-6), 0 where g is 0.
local function plain(g, sum)
  local g2 = g * g
  return g2 / (g2 * 2 + g2 * g * sum + 1e-6) * g:ne(0)
end


---tf-keras-vis: a = g^2 / (2 g^2 + g^3 sum A), 0 where g is 0, made to sum to 1 over
---the layer. Written as 1 / (2 + g sum A), which loses no digits.
local function normalised(g, sum)
  local below = g * sum + 2
  local a = g:ne(0) / (below + below:eq(0))
  local total = a:sum { dims = { 3, 4 }, keepdims = true }
  return a / (total + total:eq(0))
end


---Grad-CAM++ (Chattopadhay et al. 2018): channel weights sum_xy a relu(g), where a
---weighs a place by second and third derivatives, those of exp(score).
---Dialects: "tf-keras-vis" makes a sum to 1 over the layer, "pytorch-grad-cam" does not
---and adds 1e-6 below; relu, size and scale are each toolkit's own.
---Caveat: the derivatives hold where the score is linear in the layer; elsewhere a is
---  a rule of thumb.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.gradcam_pp(run, { modifiers = { "linear" } }))
return cam {
  name = "gradcam_pp", needs = "gradient", dialects = { "tf-keras-vis",
                                                        "pytorch-grad-cam" },
  paper = "Chattopadhay et al. 2018, Grad-CAM++",
  weights = function(A, g, _, o)
    local sum = A:sum { dims = { 3, 4 }, keepdims = true }
    local a = (o.dialect == "pytorch-grad-cam" and plain or normalised)(g, sum)
    return (g:relu() * a):sum { dims = { 3, 4 }, keepdims = true }
  end,
}
