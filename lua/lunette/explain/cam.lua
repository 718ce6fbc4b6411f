---Class activation maps: weights for the channels of one layer, and their weighted
---sum over the picture. A variant is a row that says how the weights are made; layer,
---relu, size and the toolkits' ways of finishing are the same for all.
---
---  return cam {
---    name = "layercam", needs = "gradient",
---    weights = function(A, g) return g:relu() end, -- (N,K,h,w), times A, summed
---  }
local method = require "lunette.explain.method"
local opt = require("lunette.base.options").opt

local M = {}

---@class lunette.Cam
---@field name string
---@field needs? "gradient"|"means"   what `weights` gets as its second argument: the
---  gradient at the layer (N,K,h,w), its spatial means (N,K,1,1), or nothing
---@field weights fun(A: lunette.Tensor, g: lunette.Tensor?, run: lunette.Run,
---  o: table): lunette.Tensor   (N,K,1,1) or (N,K,h,w): the map is the sum of
---  weights * A
---@field dialects? string[]   those that it has (all)
---@field options? table   of its own, besides those of all


---Each dialect's order of relu, resize and normalisation.
local finish = {
  ["tf-keras-vis"] = function(cam, o, run)
    local size = run.net.input
    if o.relu then cam = cam:relu() end
    if o.expand then cam = cam:resize(size[2], size[3], { align_corners = true }) end
    return o.normalize and cam:normalize() or cam
  end,
  captum = function(cam, o) -- LayerGradCam: as it is, unless asked
    return o.given.relu == true and cam:relu() or cam
  end,
  ["pytorch-grad-cam"] = function(cam, o, run)
    local size = run.net.input
    if o.relu then cam = cam:relu() end
    if o.normalize then cam = cam:normalize() end
    if o.expand then cam = cam:resize(size[2], size[3]) end
    cam = cam:relu()
    return o.normalize and cam:normalize() or cam
  end,
}


local needs = {
  means = function(run, layer, o)
    return run:gradient { score = o.score, modifiers = o.modifiers, wrt = layer.name,
                          exact = true, reduce = "mean" }
  end,
  gradient = function(run, layer, o)
    return run:gradient { score = o.score, modifiers = o.modifiers, wrt = layer.name }
  end,
}


---The signed map at the layer's size.
local function explain(row, run, o)
  local A, message = run:activation(o.layer.name)
  if not A then error(message, 0) end
  A = A:detach()
  local g = row.needs and needs[row.needs](run, o.layer, o)
  local cam = (A * row.weights(A, g, run, o)):sum { dims = { 2 } }
  local s = cam:stats()
  return cam, { raw_min = s.min, raw_max = s.max,
                dialect = row.dialects and o.dialect or nil }
end


---The finishes of the dialects that a variant has: all, unless it says which.
local function finish_of(row)
  if not row.dialects then return finish end
  local own = {}
  for _, name in ipairs(row.dialects) do own[name] = finish[name] end
  return own
end


---Options of every class activation map; those that need a gradient have a score.
local function options_of(row)
  local all = {
    "normalize",
    layer = opt.layer("last", "default: the last map of the network, activated",
                      { spatial = true }),
    relu = opt.flag(true, "keep positive evidence only (captum: only if asked)"),
    expand = opt.flag(true, "resize to the picture (captum never does)"),
  }
  if row.needs then all[2], all[3] = "score", "modifiers" end
  for key, value in pairs(row.options or {}) do all[key] = value end
  return all
end


---@param row lunette.Cam
---@return lunette.Method
function M.new(row)
  local full = { draws = "overlay" }
  for key, value in pairs(row) do full[key] = value end
  full.finish = finish_of(row)
  full.options = options_of(row)
  full.keeps = function(_, o) return o.layer end
  full.explain = function(run, o) return explain(row, run, o) end
  return method.new(full)
end

return M
