---Which tensor of a file is which parameter of a network: by the layer's name or one of
---its aliases, exactly, both ways. What does not match is listed.
local shapes = require "lunette.base.shapes"

local M = {}

local MOST = 6 -- of each kind that a message lists


local function count(shape)
  local n = 1
  for _, d in ipairs(shape) do n = n * d end
  return n
end


---The module's parameter under one of the layer's names.
local function find(by_name, layer, key)
  for _, name in ipairs { layer.name, table.unpack(layer.aliases or {}) } do
    local module = by_name[name]
    if module and module.params[key] then return module.params[key], name end
  end
  return nil
end


---Kinds of layers that leave values in their places.
local passes = { dropout = true, identity = true, batch_norm = true, relu = true }


---The layer that a layer reads; nil where it reads the picture.
local function read_by(net, layer)
  local name = layer.from and layer.from[1]
  return type(name) == "string" and name ~= "input" and net:layer(name) or nil
end


---The map (C,H,W) that a dense layer reads flattened, or nil.
local function flattened_map(net, layer)
  local before = read_by(net, layer)
  while before and passes[before.kind] do before = read_by(net, before) end
  if not before or before.kind ~= "flatten" then return nil end
  local source = read_by(net, before)
  local shape = source and source.shape or net.input
  return #shape == 3 and shape[2] * shape[3] > 1 and shape or nil
end


---Keras has the weight of a depthwise convolution as (h,w,C,m), we (C m,1,h,w).
local function depthwise(layer, q, p)
  local s = p.source.shape
  if layer.kind ~= "conv2d" or (layer.groups or 1) == 1 or #s ~= 4 then return nil end
  if s[3] ~= layer.groups or s[3] * s[4] ~= q.shape[1] then return nil end
  return { name = q.name, source = p.source, view = s, perm = { 3, 4, 1, 2 },
           shape = q.shape }
end


---Values of Keras' flattened maps are regrouped: (h,w,c) there, (c,h,w) here.
local function regroup(fit, net, layer, q)
  local map = flattened_map(net, layer)
  if map and layer.kind == "linear" and q.key == "weight" then
    fit.view, fit.perm = { map[2], map[3], map[1], q.shape[1] }, { 4, 3, 1, 2 }
  elseif map and layer.kind == "batch_norm" then
    fit.view, fit.perm = { map[2], map[3], map[1] }, { 3, 1, 2 }
  end
  return fit
end


---The parameter in the network's shape; nil where it has another one.
local function fitted(net, layer, q, p, keras)
  local moved = keras and q.key == "weight" and depthwise(layer, q, p)
  if moved then return moved end
  local alike = #p.shape ~= #q.shape and p.shape[1] == q.shape[1]
    and count(p.shape) == count(q.shape)
  if not alike and not shapes.same(p.shape, q.shape) then return nil end
  local fit = { name = q.name, source = p.source, view = p.view, perm = p.perm,
                shape = q.shape }
  return keras and regroup(fit, net, layer, q) or fit
end


local function list_of(words, what)
  if #words == 0 then return nil end
  local some = { table.unpack(words, 1, MOST) }
  local more = #words > MOST and (" and %d more"):format(#words - MOST) or ""
  return what:format(table.concat(some, ", ") .. more)
end


---The problems in one line.
local function complaint(title, p)
  local parts = {}
  parts[#parts + 1] = list_of(p.missing, "has no %s")
  parts[#parts + 1] = list_of(p.wrong, "%s")
  parts[#parts + 1] = list_of(p.left, "has no place for %s")
  return ("as %s it %s"):format(title, table.concat(parts, "; "))
end


---Parameters that nothing asked for: what a network may do without (counters, empty
---tensors, heads of training) by name, what may not as a problem.
local function leftovers(list, used, problems, of_training)
  local notes, heads = {}, {}
  local function leave(name, p)
    local head = of_training and name:find(of_training) and name:match "^[^.]+"
    if head and heads[head] then return end
    if head then heads[head] = true end
    local empty = count(p.shape) == 0 or #p.shape == 0
    local into = (head or empty) and notes or problems.left
    into[#into + 1] = head and ("'%s' (an auxiliary head, for training alone)"):format(
      head) or ("'%s'"):format(p.source.name)
  end
  for _, module in ipairs(list) do
    for _, p in pairs(module.params) do
      if not used[p] then leave(module.name, p) end
    end
  end
  table.sort(notes)
  table.sort(problems.left)
  return notes
end


local function misfit(net, q, p)
  local ours = p.source.name ~= q.name and (" (%s)"):format(q.name) or ""
  return ("'%s'%s: shape %s, %s wants %s"):format(p.source.name, ours,
    shapes.text(p.shape), net.name, shapes.text(q.shape))
end


---Matches a network's parameters with modules.
---@param net lunette.Net
---@param mods { list: lunette.import.Module[], by_name: table, family: string }
---@param of_training? string   pattern of modules' names that serve training alone
---@return lunette.import.Param[]? params
---@return string[]|string notes   tensors that were left out, or what does not match
function M.assign(net, mods, of_training)
  local params, used = {}, {}
  local problems = { missing = {}, wrong = {}, left = {} }
  for _, layer in ipairs(net:layers()) do
    for _, q in ipairs(layer.params) do
      local p = not q.shared and find(mods.by_name, layer, q.key)
      local fit = p and fitted(net, layer, q, p, mods.family == "keras")
      if fit then
        params[#params + 1] = fit
      elseif p then
        table.insert(problems.wrong, misfit(net, q, p))
      elseif not q.shared then
        table.insert(problems.missing, ("'%s'"):format(q.name))
      end
      if p then used[p] = true end
    end
  end
  local notes = leftovers(mods.list, used, problems, of_training)
  if #problems.missing + #problems.wrong + #problems.left > 0 then
    return nil, complaint(net.name, problems)
  end
  return params, notes
end

return M
