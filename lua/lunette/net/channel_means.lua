---Spatial means of a layer's gradient: `run:gradient { reduce = "mean" }`.
---
---Where nothing but poolings, which hand every gradient to one place, lies between the
---layer and a dense one, they are products of the dense layer's gradient with sums of
---its weights (in,out). Those are made once, at the cost of one gradient (of VGG16,
---411 MB are read), and kept until the weights change: 8 MB for VGG16.
local blame = require "lunette.base.blame"
local build = require "lunette.net.build"
local core = require "lunette.core"
local modifiers = require "lunette.modifiers"

local M = {}

---Kinds through which the sum of a channel's gradients does not change.
local keeps_sums = { max_pool2d = true, flatten = true }


---What was summed of a weight, by number of channels; `version` tells when it was
---changed since.
local kept = setmetatable({}, { __mode = "k" })


---(C,out): sums of the weights (in,out) over the places of each channel.
local function channel_sums(w, channels)
  local found = kept[w]
  if not found or found.version ~= w:version() then
    found = { version = w:version() }
    kept[w] = found
  end
  if not found[channels] then
    local places = w:dim(1) // channels
    found[channels] = w:reshape { channels, places, w:dim(2) }:sum { dims = { 2 } }
  end
  return found[channels]
end


---The dense layer behind `layer`, and the layers up to it; nil if there are others
---between than those that keep channel sums.
local function dense_behind(net, layer)
  local list, passed = net:layers(), {}
  repeat
    local readers = build.readers(net, layer.name)
    layer = #readers == 1 and list[readers[1]]
    if not layer then return nil end
    passed[#passed + 1] = layer
  until not keeps_sums[layer.kind]
  if layer.kind == "linear" then return layer, passed end
  return nil
end


---Does the backward pass start at an output, before or after its softmax? Elsewhere
---it may not go through the dense layer.
---@param score lunette.Score
---@param mods lunette.Modifier[]
---@return boolean
function M.is_output(score, mods)
  if score.layer then return false end
  for _, m in ipairs(mods) do
    if m.target and m ~= modifiers.linear then return false end
  end
  return true
end


---The dense layer's node and the sums, where the passed layers have no other rules.
local function short_way(run, layer, scored, rules)
  local dense, passed = dense_behind(run.net, layer)
  for _, on in ipairs(passed or {}) do
    local node = run:node(on.name)
    if not node or node.id > scored or rules[node.id] then return nil end
  end
  if not dense or dense.weight_layout ~= "in_out" then return nil end
  local node = run:node(dense.name)
  local w = run.net.params[dense.params[1].name]
  -- sums are kept for the network's own weights; a run may have had others
  if not w or not w:shares(node.weight) then return nil end
  return node.id, channel_sums(w, layer.shape[1])
end


---@param run lunette.Run
---@param layer lunette.Layer   (C,h,w)
---@param id integer            its node
---@param scored integer        the scored node
---@param rules false|table<integer, any>   by node; false: the long way
---@return integer id           of the node whose gradient is wanted instead
---@return fun(g: lunette.Tensor): lunette.Tensor means   (N,C,1,1), of that gradient
local function channel_means(run, layer, id, scored, rules)
  if #layer.shape ~= 3 then
    blame(("gradient: reduce = \"mean\" is over height and width; '%s' is (%s)"):format(
          layer.name, table.concat(layer.shape, ",")))
  end
  local dense, sums
  if rules then dense, sums = short_way(run, layer, scored, rules) end
  if not dense then
    return id, function(g) return g:mean { dims = { 3, 4 }, keepdims = true } end
  end
  return dense, function(g)
    return core.ops.linear(g, sums):reshape { g:dim(1), layer.shape[1], 1, 1 }
      * (1 / (layer.shape[2] * layer.shape[3]))
  end
end

return setmetatable(M, { __call = function(_, ...) return channel_means(...) end })
