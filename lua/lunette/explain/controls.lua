---Control maps: what a map is worth that knows nothing of the network. A method that
---does not do better than these tells nothing of it.
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local blur = require "lunette.tensors.blur"
local superpixels = require "lunette.explain.superpixels"

local M = {}


---Grey levels (H,W) of picture i of a run.
local function grey(run, i)
  local picture = superpixels.picture(run, i)
  return picture:mean { dims = { 1 } }:view(picture:dim(2), picture:dim(3)), picture
end


---The size of the gradient of the grey levels (Sobel).
local function edges(run, i)
  local g = grey(run, i)
  local x = core.tensor { { -1, 0, 1 }, { -2, 0, 2 }, { -1, 0, 1 } }
  local h, w = g:dim(1), g:dim(2)
  local padded = g:view(1, 1, h, w):pad { before = { 0, 0, 1, 1 },
                                          after = { 0, 0, 1, 1 }, mode = 2 }
  local dx = core.ops.conv2d(padded, x:view(1, 1, 3, 3))
  local dy = core.ops.conv2d(padded, x:permute { dims = { 2, 1 } }:view(1, 1, 3, 3))
  return blur((dx:square() + dy:square()):sqrt(), h / 56)[1][1]
end


---A Gaussian at the centre, its deviation a quarter of the side.
local function centre(run)
  local s = run.images:shape()
  local h, w = s[3], s[4]
  local y = ((core.range(0, h - 1) - (h - 1) / 2) / (h / 4)):square():view(h, 1)
  local x = ((core.range(0, w - 1) - (w - 1) / 2) / (w / 4)):square():view(1, w)
  return ((y + x) * -0.5):exp()
end


---How far the largest of a pixel's colours is from the smallest: its saturation; of
---grey pictures the grey levels.
local function input(run, i)
  local levels, picture = grey(run, i)
  if picture:dim(1) < 3 then return levels end
  local h, w = picture:dim(2), picture:dim(3)
  return (picture:max { dims = { 1 } } - picture:min { dims = { 1 } }):view(h, w)
end


local makers = {
  random = function(run, i, seed)
    local s = run.images:shape()
    return core.uniform(seed, i, s[3], s[4])
  end,
  edges = edges, centre = centre, input = input,
}

---Their names.
M.names = { "random", "edges", "centre", "input" }


---Maps that know nothing of the network: "random" numbers, the picture's "edges"
---(Sobel, blurred), the "centre" (a Gaussian), the "input" itself (its colours'
---saturation).
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(2).images))
---  show(lu.control("edges", run))
---@param name "random"|"edges"|"centre"|"input"
---@param run lunette.Run
---@param seed? integer   of the random numbers (0)
---@return lunette.Tensor   (N,H,W), from 0 to 1
function M.control(name, run, seed)
  require("lunette.base.options").choice("control", name, M.names)
  local s = run.images:shape()
  if #s ~= 4 then blame("control: the network's input has no height and width") end
  local all = core.zeros(s[1], s[3], s[4])
  for i = 1, s[1] do all[i] = makers[name](run, i, seed or 0) end
  local map = all:normalize()
  map.story = { method = "control " .. name, draws = "overlay", model = run.net.name }
  return map
end

return M
