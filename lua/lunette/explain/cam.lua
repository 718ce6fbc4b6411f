---Class activation maps: what the channels of one layer contribute, summed over the
---channels. A variant is a row that says what each channel's weight is, or its
---contribution, or the map itself; layers, relu, size, smoothing and the toolkits' ways
---of finishing are the same for all.
---
---  return cam {
---    name = "layercam", needs = "gradient",
---    weights = function(A, g) return g:relu() end, -- (N,K,h,w), times A, summed
---  }
local blame = require "lunette.base.blame"
local method = require "lunette.explain.method"
local opt = require("lunette.base.options").opt

local M = {}

---@class lunette.Cam
---@field name string
---@field needs? "gradient"|"means"|"score"   what the function gets after A: the
---  gradient at the layer (N,K,h,w), its spatial means (N,K,1,1), or nothing, but there
---  is a score
---@field weights? fun(A: lunette.Tensor, g: lunette.Tensor?, run: lunette.Run,
---  o: table, layer: lunette.Layer): lunette.Tensor, table?   (N,K,1,1) or (N,K,h,w):
---  the map is the sum of weights * A; and facts for the story
---@field channels? function   the same, but what each channel contributes (N,K,h,w)
---@field map? function        the same, but the map (N,1,h,w)
---@field score? fun(run: lunette.Run, o: table): lunette.Score   instead of the score
---@field dialects? string[]   those that it has (all)
---@field fuse? fun(maps: lunette.Tensor[], o: table): lunette.Tensor   of the finished
---  maps of several layers (their mean, before that is finished)
---@field options? table   of its own, besides those of all


---pytorch-grad-cam's relu, normalisation and resize.
local function scaled(cam, o, run)
  local size = run.net.input
  if o.relu then cam = cam:relu() end
  if o.normalize then cam = cam:normalize() end
  return o.expand and cam:resize(size[2], size[3]) or cam
end


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
    cam = scaled(cam, o, run):relu()
    return o.normalize and cam:normalize() or cam
  end,
}


local needs = {
  score = function() return nil end,
  means = function(run, layer, o)
    return run:gradient { score = o.score, modifiers = o.modifiers, wrt = layer.name,
                          exact = true, reduce = "mean" }
  end,
  gradient = function(run, layer, o)
    return run:gradient { score = o.score, modifiers = o.modifiers, wrt = layer.name }
  end,
}


---What a layer put out and what the variant needs of it; tokens as the map over which
---they lie, without those that are no patches.
local function values_of(row, run, o, layer)
  local tokens = require "lunette.explain.tokens"
  local A, message = run:activation(layer.name)
  if not A then blame(message) end
  local grid, means = tokens.grid_of(run.net, layer), row.needs == "means"
  local need = row.needs and (grid and means and "gradient" or row.needs)
  local g = need and needs[need](run, layer, o)
  A = A:detach()
  if not grid then return A, g end
  g = g and tokens.map(g, grid)
  if means then g = g:mean { dims = { 3, 4 }, keepdims = true } end
  return tokens.map(A, grid), g
end


---The sum over channels; what is summed is given back.
local function summed(each)
  local given <close> = each
  return given:sum { dims = { 2 } }
end


---The same of what channels contribute, or of their first component alone.
local function contributed(each, o)
  if not o.eigen_smooth then return summed(each) end
  local all <close> = each
  return summed(require("lunette.explain.principal").first(all))
end


---The signed map of a run at one layer, (N,h,w), and facts.
local function at_layer(row, run, o, layer)
  local A, g = values_of(row, run, o, layer)
  local gradient <close> = g
  local _ = gradient
  if row.map then return summed(row.map(A, g, run, o, layer)) end
  if row.channels then return contributed(row.channels(A, g, run, o, layer), o) end
  local weights, facts = row.weights(A, g, run, o, layer)
  return contributed(A * weights, o), facts
end


---The mean of what `value` says of six variants of the picture: as it is and mirrored,
---times 0.9, 1 and 1.1; maps mirrored back.
local function augmented(run, value)
  local total
  for _, mirrored in ipairs { false, true } do
    for _, factor in ipairs { 0.9, 1, 1.1 } do
      local x = run.images * factor
      if mirrored then x = x:flip { dims = { 4 } } end
      local part <close> = run.net:run(x, { modifiers = run.modifiers })
      local map = value(part)
      if mirrored then map = map:flip { dims = { map:dim() } } end
      total = total and total:add_(map) or map:clone()
    end
  end
  return total:mul_(1 / 6)
end


---Maps of several layers: the mean of the scaled ones, scaled again.
local function mean_of(maps)
  local total = maps[1]
  for i = 2, #maps do total = total + maps[i] end
  return (total / #maps):relu():normalize()
end


---Several layers: each scaled by itself, then made one (as pytorch-grad-cam; other
---toolkits have none of this).
local function fused(row, run, o)
  local maps = {}
  for i, layer in ipairs(o.layer) do
    local cam = at_layer(row, run, o, layer)
    maps[i] = row.fuse and finish["pytorch-grad-cam"](cam, o, run)
      or scaled(cam, o, run)
  end
  return (row.fuse or mean_of)(maps, o)
end


---How much of a map relu throws away: of |values|, those below 0, over all images.
local function negative_share(cam)
  local all = cam:abs():sum():item()
  return all > 0 and (-cam):relu():sum():item() / all or 0
end


---The signed map at the layer's size; with several layers or `aug_smooth` the finished
---map, since single maps are finished before they are averaged.
local function explain(row, run, o)
  if row.score then o.score = row.score(run, o) end
  if #o.layer > 0 then
    o.raw = true -- which says that nothing is left to be finished
    return fused(row, run, o), { raw = false, dialect = o.dialect }
  end
  if o.aug_smooth then
    o.raw = true
    return augmented(run, function(part)
      return finish[o.dialect]((at_layer(row, part, o, o.layer)), o, part)
    end), { raw = false, dialect = o.dialect }
  end
  local cam, facts = at_layer(row, run, o, o.layer)
  if run.traced then return cam end
  local s = cam:stats()
  facts = facts or {}
  facts.raw_min, facts.raw_max = s.min, s.max
  facts.negative_share = o.relu and not o.raw and negative_share(cam) or nil
  facts.dialect = row.dialects and o.dialect or nil
  return cam, facts
end


---The finishes of the dialects that a variant has: all, unless it says which.
local function finish_of(row)
  if not row.dialects then return finish end
  local own = {}
  for _, name in ipairs(row.dialects) do own[name] = finish[name] end
  return own
end


---Options of every class activation map; those with a score have modifiers.
local function options_of(row)
  local all = {
    "normalize",
    layer = opt.layer("last", "default: the last map of the network, activated; or a "
      .. "list of layers", { spatial = true, many = true }),
    relu = opt.flag(true, "keep positive evidence only (captum: only if asked)"),
    expand = opt.flag(true, "resize to the picture (captum never does)"),
    aug_smooth = opt.flag(false, "mean over the picture and its mirror image, times "
      .. "0.9, 1 and 1.1"),
  }
  if not row.map then
    all.eigen_smooth = opt.flag(false, "first principal component of the channels' "
      .. "contributions, not their sum")
  end
  if row.needs then all[2], all[3] = "score", "modifiers" end
  for key, value in pairs(row.options or {}) do
    all[math.type(key) == "integer" and #all + 1 or key] = value
  end
  return all
end


---The earliest of the layers, the first whose value is wanted.
local function first_of(_, o)
  local first = #o.layer == 0 and o.layer or o.layer[1]
  for _, layer in ipairs(o.layer) do
    if layer.index < first.index then first = layer end
  end
  return first
end


---@param row lunette.Cam
---@return lunette.Method
function M.new(row)
  local full = { draws = "overlay", family = "cam" }
  for key, value in pairs(row) do full[key] = value end
  full.score = nil
  full.finish = finish_of(row)
  full.options = options_of(row)
  full.keeps = row.keeps or first_of
  full.walks_to_layer = row.needs == "gradient" or row.needs == "means"
  full.explain = function(run, o) return explain(row, run, o) end
  return method.new(full)
end


---Channels of a layer laid over the picture, for masks: (K,1,H,W), each from 0 to 1.
---@param A lunette.Tensor   (K,h,w) of one image
---@param size integer[]     of the network's input
---@param eps number         added below
---@return fun(first: integer, k: integer): lunette.Tensor
function M.masks_of(A, size, eps)
  return function(first, k)
    local some = A:narrow { dim = 1, start = first, length = k }
    local large = some:reshape { k, 1, A:dim(2), A:dim(3) }
      :resize(size[2], size[3], { align_corners = true })
    return large:normalize(eps)
  end
end

return M
