local method = require("lunette.explain.method").new
local opt = require("lunette.base.options").opt
local warn = require "lunette.base.warn"

---Guided Grad-CAM (Selvaraju et al. 2017): the gradient under the guided rule times
---relu of Grad-CAM, enlarged to the picture (captum: nearest). Signed, (N,C,H,W).
---Caveat: its detail is guided backpropagation's, which is nearly blind to the class;
---  only the place is Grad-CAM's.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.guided_gradcam(run, { modifiers = { "linear" } }))
return method {
  name = "guided_gradcam", family = "cam", draws = "map",
  flat = "Grad-CAM is nowhere positive, or where it is the guided rule lets nothing "
    .. "through",
  paper = "Selvaraju et al. 2017, Grad-CAM",
  options = {
    "score", "modifiers",
    layer = opt.layer("last", "of the Grad-CAM", { spatial = true }),
    mode = opt.choice("nearest", { "nearest", "bilinear", "bicubic" }, "enlarged how"),
  },
  explain = function(run, o)
    local gradcam = require "lunette.methods.gradcam"
    local cam = warn.during(false, gradcam, run, { score = o.score,
      modifiers = o.modifiers, layer = o.layer.name, raw = true })
    local size, list = run.net.input, { table.unpack(o.modifiers) }
    list[#list + 1] = "guided"
    local g = run:gradient { score = o.score, modifiers = list }
    local large = cam:relu():resize(size[2], size[3], { mode = o.mode })
    return g * large:view(large:dim(1), 1, size[2], size[3])
  end,
}
