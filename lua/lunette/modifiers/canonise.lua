---Canonisation: for relevance a batch norm is part of the layer before it, as
---zennit's canonizers have it,
---  y = s (W x + b) + t = (s W) x + (s b + t),  s = gamma / sqrt(var + eps),
---  t = beta - s mean.
---The network is not touched: the layer's rule gets s W and s b + t for W and b; the
---batch norm hands on what it gets. s and t are followed back through sums,
---concatenations and views (channel shuffles); a batch norm for which a layer would
---have to be changed that others read too stays as it is.

local M = {}


-- where s and t end up -------------------------------------------------------------


---s and t of a batch norm, per channel.
local function affine(net, layer)
  local p = net:params_of(layer)
  local s = (p.running_var + (layer.eps or 1e-5)):sqrt():reciprocal()
  if p.weight then s = s * p.weight end
  local t = s * p.running_mean
  return s, p.bias and p.bias - t or -t
end


---A value a channel (C) for the layer's maps: (1,C,1,1).
local function spread(v, layer)
  local one = { 1, v:size() }
  for i = 2, #layer.shape do one[i + 1] = 1 end
  return v:reshape(one)
end


---The same for every value of the layer: views mix what stands in a channel.
local function whole(v, layer)
  return v:expand { shape = { 1, table.unpack(layer.shape) } }
end


---(1,C,...) as a value a channel, or nil where a channel has several.
local function per_channel(v)
  local c = v:dim(2)
  local flat = v:reshape { c, v:size() // c }
  if v:size() == c then return v:reshape { c } end
  local first = flat:narrow { dim = 2, start = 1, length = 1 }
  return (flat - first):abs():max():item() == 0 and first:reshape { c } or nil
end


local function inverse(dims)
  local back = {}
  for i, d in ipairs(dims) do back[d] = i end
  return back
end


local absorb -- follows s and t into the layer of that name; false: they cannot go there


local function view(net, layer, s, t, list)
  local from = net:layer(layer.from[1])
  local shape = { 1, table.unpack(from.shape) }
  s, t = whole(s, layer):reshape(shape), whole(t, layer):reshape(shape)
  return absorb(net, from.name, s, t, list)
end


local function weighted(_, layer, s, t, list)
  if layer.kind == "linear" and #layer.shape ~= 1 then return false end
  local a, b = per_channel(s), per_channel(t)
  list[#list + 1] = a and b and { layer = layer, scale = a, shift = b } or nil
  return a ~= nil and b ~= nil
end


local through = {
  conv2d = weighted, linear = weighted,
  reshape = view, flatten = view, identity = view, dropout = view,
  permute = function(net, layer, s, t, list)
    local back = { dims = inverse(layer.dims) }
    return absorb(net, layer.from[1], s:permute(back), t:permute(back), list)
  end,
  add = function(net, layer, s, t, list)
    if layer.operands or #layer.from ~= 2 then return false end
    list[#list + 1] = { sum = layer, scale = s, shift = t }
    for i, from in ipairs(layer.from) do
      if from == "input" or #net:layer(from).shape ~= #layer.shape
         or not absorb(net, from, s, i == 1 and t or t * 0, list) then
        return false
      end
    end
    return true
  end,
  concat = function(net, layer, s, t, list)
    if layer.operands or (layer.dim or 2) ~= 2 then return false end
    local at = 1
    for _, from in ipairs(layer.from) do
      if from == "input" then return false end
      local part = { dim = 2, start = at, length = net:layer(from).shape[1] }
      if not absorb(net, from, s:narrow(part), t:narrow(part), list) then
        return false
      end
      at = at + part.length
    end
    return true
  end,
  batch_norm = function(net, layer, s, t, list)
    local s1, t1 = affine(net, layer)
    list[#list + 1] = { norm = layer }
    return absorb(net, layer.from[1], s * spread(s1, layer),
                  s * spread(t1, layer) + t, list)
  end,
}


local function is_output(net, name)
  for _, output in ipairs(net.outputs) do
    if output == name then return true end
  end
  return false
end


local counted = setmetatable({}, { __mode = "k" }) -- net -> readers of its layers


---How many layers read a layer, by name.
local function readers(net)
  local count = counted[net] or {}
  if not counted[net] then
    for _, layer in ipairs(net:layers()) do
      for _, from in ipairs(layer.from) do count[from] = (count[from] or 0) + 1 end
    end
    counted[net] = count
  end
  return count
end


absorb = function(net, name, s, t, list)
  if name == "input" or readers(net)[name] ~= 1 or is_output(net, name) then
    return false
  end
  local layer = net:layer(name)
  local go = through[layer.kind]
  return go ~= nil and go(net, layer, s, t, list)
end


---What the batch norm `layer` becomes part of; nil where it stays.
local function parts_of(net, layer)
  local s, t = affine(net, layer)
  local list = {}
  if not absorb(net, layer.from[1], spread(s, layer), spread(t, layer), list) then
    return nil
  end
  return list
end


-- weights --------------------------------------------------------------------------


---Weight and bias of a layer times `scale`, plus `shift`.
local function folded(net, layer, scale, shift)
  local p = net:params_of(layer)
  local shape = { scale:size() }
  for i = 2, p.weight:dim() do shape[i] = 1 end
  if layer.kind == "linear" and layer.weight_layout == "in_out" then
    shape = { 1, scale:size() }
  end
  return p.weight * scale:reshape(shape), p.bias and p.bias * scale + shift or shift
end


---A node with other parameters, as a rule in Lua sees it.
local function disguised(node, weight, bias)
  local function with(opts)
    local all = { weight = weight, bias = bias }
    if type(opts) == "string" then opts = { rule = opts } end
    for key, v in pairs(opts or {}) do all[key] = v end
    return all
  end
  local methods = {
    weight = weight, bias = bias,
    forward = function(_, opts) return node:forward(with(opts)) end,
    backward = function(_, dy, opts) return node:backward(dy, with(opts)) end,
  }
  return setmetatable({}, { __index = function(_, key)
    local v = methods[key]
    if v == nil then return node[key] end
    return v
  end })
end


---The rule over the folded parameters, which live as long as it runs. `flow`, if
---given, gets what the bias takes.
local function over(rule, net, part, flow)
  return function(node, dy)
    local weight, bias = folded(net, part.layer, part.scale, part.shift)
    if type(rule) == "function" then return rule(disguised(node, weight, bias), dy) end
    local dx = node:backward(dy, { rule = rule, weight = weight, bias = bias,
                                   flow = flow })
    weight:release()
    return dx
  end
end


---The stabiliser of a sum's `norm` rule; nil where the rule is another.
local function epsilon_of(rule)
  if rule == "norm" then return 1e-6 end
  return type(rule) == "table" and rule[1] == "norm" and (rule.epsilon or 1e-6) or nil
end


---Shares relevance by what s a + t and s b add to the sum s (a + b) + t.
local function scaled_sum(rule, s, t)
  local epsilon = epsilon_of(rule)
  return function(node, dy)
    local a <close> = node.inputs[1] * s + t
    local b <close> = node.inputs[2] * s
    local z <close> = a + b
    local stable <close> = z + (z:ge(0) - 0.5) * (2 * epsilon)
    local q <close> = dy / stable
    return { a * q, b * q }
  end
end


---Do all layers whose weights would change have a rule that can run with other weights?
local function all_have_rules(parts, id, rules)
  for _, part in ipairs(parts) do
    if part.layer and not rules[id[part.layer.name]]
       or part.sum and not epsilon_of(rules[id[part.sum.name]]) then
      return false
    end
  end
  return true
end


---Folds batch norms into the layers before them: the rules of these layers get s W and
---s b + t for W and b.
---@param run lunette.Run
---@param nodes table[]   { layer =, id = } of a backward pass
---@param rules table<integer, any>   changed
---@param flow? table<string, table>  gets { bias = } by layer, as they are passed
---@return integer count   batch norms that became part of a layer
function M.apply(run, nodes, rules, flow)
  local id, count, done = {}, 0, {}
  local function put(part)
    local name = (part.layer or part.norm or part.sum).name
    done[name] = true
    if part.norm then
      rules[id[name]], count = "identity", count + 1
      return
    end
    if part.sum then
      rules[id[name]] = scaled_sum(rules[id[name]], part.scale, part.shift)
      return
    end
    if flow then flow[name] = {} end
    rules[id[name]] = over(rules[id[name]], run.net, part, flow and flow[name])
  end
  for _, node in ipairs(nodes) do id[node.layer.name] = node.id end
  for i = #nodes, 1, -1 do
    local layer = nodes[i].layer
    local parts = layer.kind == "batch_norm" and not done[layer.name]
      and parts_of(run.net, layer)
    if parts and all_have_rules(parts, id, rules) then
      for _, part in ipairs(parts) do put(part) end
      rules[nodes[i].id], count = "identity", count + 1
    end
  end
  return count
end

return M
