---Batch normalisation in pieces: a number a channel is subtracted, then multiplied by
---(keras2onnx), or a batch norm without scale is multiplied by one (Caffe2). It becomes
---one batch norm of the same numbers. A sum behind it stays a layer of its own, so that
---what came before it can be read, and so does a factor alone, as ConvNeXt's.

---The parameter of a number a channel that a layer puts in; nil: it has none such.
local function by_channel(g, spec)
  local name, other, swapped = g:split(spec)
  local shape = name and g:shape(spec.name)
  if type(other) ~= "table" or not shape or #shape ~= 3 or #other.shape ~= 3
     or swapped and spec.kind == "sub" or other.shape[1] ~= shape[1]
     or other.shape[2] ~= 1 or other.shape[3] ~= 1 then
    return nil
  end
  return g:constant(spec, other.param)
end


local function filled(count, value)
  local data = {}
  for i = 1, count do data[i] = value end
  return { shape = { count }, data = data }
end


---Are the numbers of a constant known, and all of them `value`?
local function all_are(g, c, value)
  local list = c and g:numbers(c)
  for _, v in ipairs(list or {}) do if v ~= value then return false end end
  return list ~= nil
end


---@param g table      of idioms.graph
---@param spec table   the factor
---@return table? made   what Graph:replace takes
return function(g, spec)
  local scale = spec.kind == "mul" and by_channel(g, spec)
  local before = scale and g.by_name[(g:split(spec))]
  if not before or not g:read_once(before) then return nil end
  local n = scale and g:shape(spec.name)[1]
  local params = { weight = g:moved(scale, { n }) }
  if before.kind == "sub" then
    local mean = by_channel(g, before)
    if not mean then return nil end
    params.bias, params.running_var = filled(n, 0.0), filled(n, 1.0)
    params.running_mean = g:moved(mean, { n })
    return { kind = "batch_norm", from = { (g:split(before)) }, attrs = { eps = 0 },
             params = params, inner = { before } }
  elseif before.kind == "batch_norm" then
    local own = g:params_of(before)
    if not all_are(g, own.weight, 1) or not all_are(g, own.bias, 0) then return nil end
    params.bias, params.running_mean = own.bias, own.running_mean
    params.running_var = own.running_var
    return { kind = "batch_norm", from = before.from, attrs = g:attrs(before),
             params = params, inner = { before } }
  end
  return nil
end
