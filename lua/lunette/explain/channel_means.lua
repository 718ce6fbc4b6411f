---Spatial means of a layer's gradient, which is all that Grad-CAM wants of it.
---
---Where nothing but poolings, which hand every gradient to one place, lies between the
---layer and a dense one, they are products of the dense layer's gradient with sums of
---its weights. Those are made once, at the cost of one gradient (of VGG16, 411 MB
---are read), and kept as long as the weights: 8 MB for VGG16.
local core = require "lunette.core"
local modifiers = require "lunette.explain.modifiers"
local scores = require "lunette.explain.score"

---A channel's gradients have the same sum before and after.
local keeps_sums = { max_pool2d = true, flatten = true }


---The dense layer behind `layer`, and what is passed on the way, it included; nil
---where there is anything else.
local function dense_behind(net, layer)
  local list, passed = net:layers(), {}
  repeat
    local readers = net:readers(layer.name)
    layer = #readers == 1 and list[readers[1]]
    if not layer then return nil end
    passed[#passed + 1] = layer
  until not keeps_sums[layer.kind]
  if layer.kind == "linear" then return layer, passed end
  return nil
end


---Does the backward pass go through these layers, as they are by themselves?
local function passes(run, passed, opts)
  if scores.of(opts.score).layer then return false end
  for _, m in ipairs(opts.modifiers) do
    if m.target and m ~= modifiers.linear then return false end
  end
  local rules = modifiers.rules(run, opts.modifiers)
  for _, layer in ipairs(passed) do
    local node = run:node(layer.name)
    if not node or rules[node.id] then return false end
  end
  return true
end


---@param run lunette.Run
---@param layer lunette.Layer   its shape is (C,h,w)
---@param opts { score: any, modifiers: lunette.Modifier[] }
---@return lunette.Tensor means   (N,C,1,1)
return function(run, layer, opts)
  local dense, passed = dense_behind(run.net, layer)
  local sums
  if dense and passes(run, passed, opts) then
    local w = run:node(dense.name).weight
    sums = w:input_sums(w:dim(2) // layer.shape[1]) -- nil: may change
  end
  local g = run:gradient { score = opts.score, modifiers = opts.modifiers,
                           wrt = sums and dense.name or layer.name,
                           exact = sums ~= nil }
  if not sums then return g:mean { dims = { 3, 4 }, keepdims = true } end
  local total = core.ops.linear(g, sums)
  return total:reshape { g:dim(1), layer.shape[1], 1, 1 }
    * (1 / (layer.shape[2] * layer.shape[3]))
end
