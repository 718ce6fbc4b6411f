-- Lunette's side of the long cases: methods of many passes on VGG16, at block5_conv3.
-- `n` is how many samples, steps, channels, windows or masks.
local lu = require "lunette"
local core = lu.core

local LAYER, CLASS = "block5_conv3", 8
local linear = { "linear" }

local M = {}

---How many passes a case is timed with, and compared with.
M.counts = { smooth50 = { 50, 4 }, ig50 = { 50, 4 }, gradcam_pp = { 1, 1 },
             scorecam512 = { 512, 8 }, ablation512 = { 512, 512 },
             occlusion225 = { 225, 225 }, rise1000 = { 1000, 16 },
             kernel_shap200 = { 200, 60 }, gradcam_top5 = { 5, 5 },
             deletion50 = { 50, 8 } }


---Coalitions of 50 segments: the whole, the empty one, and random ones.
---@return lunette.Tensor   (200,50)
function M.coalitions()
  local rows = core.uniform(7, 1, 200, 50):lt(0.5)
  rows[1]:fill_(1)
  rows[2]:fill_(0)
  return rows
end


---A smooth map, in whose order pixels go.
---@return lunette.Tensor   (224,224)
function M.map() return core.uniform(9, 1, { 1, 1, 7, 7 }):resize(224, 224)[1][1] end


---What both sides draw alike: masks of RISE, coalitions of 50 segments, a map.
function M.prepare(write)
  local masks = require("lunette.explain.masks").random {
    height = 224, width = 224, cells = 7, keep = 0.5, count = 16, seed = 0 }
  write("rise.f32", masks.get(1, 16))
  write("coalitions.f32", M.coalitions())
  write("map.f32", M.map())
end


---5 x 10 rectangles.
local function labels()
  local y = core.range(0, 223):view(224, 1)
  local x = core.range(0, 223):view(1, 224)
  local function floor(t, by, most) -- t // by, for whole numbers
    local sum = t * 0
    for k = 1, most - 1 do sum = sum + t:ge(k * by) end
    return sum
  end
  return floor(y, 45, 5) * 10 + floor(x, 23, 10)
end


local cases = {}
M.cases = cases


function cases.smooth50(net, x, n)
  return lu.saliency(net, x, { score = CLASS, modifiers = linear, smooth_samples = n,
                               progress = false })
end


function cases.ig50(net, x, n)
  return lu.integrated_gradients(net, x, { score = CLASS, modifiers = linear, steps = n,
                                           progress = false })
end


function cases.gradcam_pp(net, x)
  return lu.gradcam_pp(net, x, { score = CLASS, modifiers = linear, layer = LAYER,
                                 dialect = "pytorch-grad-cam" })
end


function cases.scorecam512(net, x, n)
  return lu.scorecam(net, x, { score = CLASS, modifiers = linear, layer = LAYER,
    most = n, dialect = "pytorch-grad-cam", progress = false })
end


function cases.ablation512(net, x)
  return lu.ablationcam(net, x, { score = CLASS, modifiers = linear, layer = LAYER,
    dialect = "pytorch-grad-cam", progress = false })
end


---Windows of 28 every 14: 15 x 15.
function cases.occlusion225(net, x)
  return lu.occlusion(net, x, { score = CLASS, modifiers = linear, window = 28,
                                stride = 14, progress = false })
end


function cases.rise1000(net, x, n)
  return lu.rise(net, x, { score = CLASS, modifiers = linear, count = n,
                           progress = false })
end


function cases.kernel_shap200(net, x, n)
  return lu.kernel_shap(net, x, { score = CLASS, modifiers = linear, progress = false,
    segments = labels(), coalitions = M.coalitions():rows(1, n) })
end


function cases.gradcam_top5(net, x)
  return lu.gradcam(net, x, { classes = { 8, 21, 33, 0, 999 }, modifiers = linear,
                              layer = LAYER, raw = true })
end

---The class's score without the map's first n-th of the pixels, two n-ths ...
function cases.deletion50(net, x, n)
  local run <close> = net:run(x, { modifiers = linear })
  local _, _, curves = lu.metrics.deletion(M.map(), run, { score = CLASS, steps = n,
                                                           modifiers = linear })
  return core.tensor(curves[1])
end

return M
