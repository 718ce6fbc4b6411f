local blame = require "lunette.base.blame"
local cam = require("lunette.explain.cam").new
local core = require "lunette.core"
local opt = require("lunette.base.options").opt

---Random CAM: channel weights drawn from -1 .. 1. A control: a method that looks no
---better than this explains nothing.
---Caveat: no explanation at all, which is its use.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.random_cam(run))
return cam {
  name = "random_cam", paper = "pytorch-grad-cam, RandomCAM: a control", options = {
    seed = opt.count(0, "of the weights", math.mininteger),
    weights = opt.tensor("(K) or (N,K)", "weights of your own"),
  },
  weights = function(A, _, _, o)
    local k = A:dim(2)
    -- the same for all images: none depends on its place among others
    local w = o.weights or core.uniform(o.seed, 0, 1, k) * 2 - 1
    if w:dim(w:dim()) ~= k then
      blame(("random_cam: weights are of %d channels, the layer has %d"):format(
            w:dim(w:dim()), k))
    end
    return w:view(w:size() // k, k, 1, 1)
  end,
}
