local apply = require "lunette.modifiers.apply"
local blame = require "lunette.base.blame"
local cam = require("lunette.explain.cam").new
local core = require "lunette.core"
local gradient = require "lunette.base.gradient"
local layers = require "lunette.layers"
local scored_layer = require "lunette.net.scored"
local scores = require "lunette.score"
local tokens = require "lunette.explain.tokens"

local MOST = 2 ^ 15 -- values that a bent score may look at: 512 passes of 64
local STEP = 0.02 -- of the central difference, as a share of the values' size


---The score of a layer whose gradient is v.
local function along(v, layer)
  return scores.new("along", function(z)
    return (z * v):reshape { z:dim(1), z:size() // z:dim(1) }:sum { dims = { 2 } }
  end, layer)
end


---J A (N,K): what the scored values z (N,K) gain along A, where they are linear in it:
---each unit's gradient times A, 64 units a backward pass.
local function gain(run, A, z, how)
  local n, k = z:dim(1), z:size() // z:dim(1)
  local out = core.zeros(n, k)
  for first = 1, k, 64 do
    local list, shape = {}, z:shape()
    for c = first, math.min(first + 63, k) do
      local unit = core.zeros(1, k)
      unit:set(1, c, 1)
      shape[1] = 1
      list[#list + 1] = along(unit:view(table.unpack(shape)), how.scored)
    end
    local g = run:gradient { scores = list, wrt = how.wrt, modifiers = how.modifiers }
    for j = 1, #list do
      local each = (g:rows((j - 1) * n + 1, j * n) * A):reshape { n, A:size() // n }
        :sum { dims = { 2 } }
      for i = 1, n do out:set(i, first + j - 1, each[i]) end
    end
  end
  return out:view(table.unpack(z:shape()))
end


---The layer whose values z the score is a function of, and that function. A softmax or
---sigmoid at the end of the run counts as a part of the function.
local function scored_of(run, o)
  local score = scores.resolve(o.score, run)
  local scored = scored_layer.layer(run, score, o.modifiers)
  local function f(x) return score.fn(x, run, score, scored) end
  if score.layer or not layers.is(scored, "probability") then return scored.name, f end
  return scored.from[1], function(x)
    return f(layers.apply(scored, { x }, {}, { name = scored.name }))
  end
end


---Is the score linear in z, so that H is 0? Compares its gradient at z and at a point
---nearby.
local function is_linear(slope, z)
  local step = STEP * math.max(1, z:stats().l2) / math.sqrt(z:size())
  return slope(z + core.normal(1, 0, z:shape()) * step):same(slope(z))
end


---H A (N,K,h,w), where what follows the layer is linear near its values, as a network
---of relus and poolings is: J' (H_S u), u = J A, H_S the second derivatives of the
---score by the scored values alone, along u by a difference of fourth order.
local function hessian_product(run, A, o, layer)
  local scored, f = scored_of(run, o)
  local z = run:preactivation(scored):detach()
  local how = { wrt = layer.name, scored = scored,
                modifiers = apply.backward(o.modifiers) }
  local function slope(v) return (gradient(f, v)) end
  if is_linear(slope, z) then return A * 0 end
  if z:size() // z:dim(1) > MOST then
    blame(("shapley_cam: the score bends in %d values of '%s', a backward pass each; "
      .. "at most %d"):format(z:size() // z:dim(1), scored, MOST))
  end
  local u = gain(run, A, z, how)
  local size = u:stats().l2
  if size == 0 then return A * 0 end
  local step = STEP * math.max(1, z:stats().l2) / size
  local d = u * step
  local near, far = slope(z + d) - slope(z - d), slope(z + d * 2) - slope(z - d * 2)
  local curve = (near * 8 - far) * (1 / (12 * step))
  if curve:stats().l2 == 0 then return A * 0 end
  return run:gradient { score = along(curve, scored), wrt = layer.name,
                        modifiers = how.modifiers }
end


---ShapleyCAM (Cai 2025, as pytorch-grad-cam computes it): Grad-CAM whose weights are
---the Shapley values of the layer's channels, to second order:
---w = mean(g - (H A) / 2), H the second derivatives of the score by the layer.
---Caveat: for a logit of a relu network H is 0 and the map is Grad-CAM's; it differs
---  where the score bends, as a probability does. What follows the layer is taken as
---  linear near its values, so that bends of a sigmoid or gelu within are left out.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.shapley_cam(run))
return cam {
  name = "shapley_cam", needs = "gradient",
  paper = "Cai 2025, CAMs as Shapley value-based explainers",
  weights = function(_, g, run, o, layer)
    local product = hessian_product(run, run:activation(layer.name):detach(), o, layer)
    local grid = tokens.grid_of(run.net, layer)
    local w = g - (grid and tokens.map(product, grid) or product) * 0.5
    return w:mean { dims = { 3, 4 }, keepdims = true }
  end,
}
