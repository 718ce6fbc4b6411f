---Where the values of an imported network stand in its ONNX file: which value each
---layer is, and which initializer, or constant, each parameter is made of.
local Build = require "lunette.weights.import.onnx.build"

---@class lunette.onnx.Origin
---@field model table    of onnx.model
---@field picture lunette.onnx.Seen   the input itself
---@field values table<string, lunette.onnx.Seen>    by layer, and "input"
---@field params table<string, lunette.onnx.Source>  by parameter

---A value as ONNX sees it.
---@class lunette.onnx.Seen
---@field name string
---@field shape integer[]   the batch being 1
---@field order integer[]   which dimension of ours each of its dimensions is

---A parameter: the tensor `name`, seen as `view`, its dimensions then in the order
---`perm` (from 1).
---@class lunette.onnx.Source
---@field name string
---@field type string       "F32", "F16" ...
---@field shape integer[]
---@field view integer[]
---@field perm integer[]
---@field result integer[]  the parameter's shape


---How well a value shows its layer: as it lies, with its dimensions in another order,
---or without its batch.
local function quality(v)
  if not Build.batched(v) then return 1 end
  return Build.same(v.order, Build.identity(#v.order)) and 3 or 2
end


---The best value of every layer; of equally good ones the first, which makes it.
---@return table values, lunette.onnx.Seen picture
local function values_of(b)
  local found, best, picture = {}, {}, nil
  local function add(name)
    local v = b.value[name]
    if not v or v.const then return end
    local key, q = v.spec or "input", quality(v)
    if not best[key] or q > best[key] then
      best[key], found[key] = q, { name = name, shape = v.shape, order = v.order }
    end
    picture = picture or found[key]
  end
  for _, input in ipairs(b.model.inputs) do add(input[1]) end
  for _, node in ipairs(b.model.nodes) do
    for _, name in ipairs(node.outputs) do add(name) end
  end
  local values = { input = found.input }
  for _, spec in ipairs(b.specs) do values[spec.name] = found[spec] end
  return values, picture
end


---The value that each constant of the listing has in the graph: an initializer's own
---name, or that of what a Constant puts out.
local function names_of(m)
  local names = {}
  for _, t in ipairs(m.tensors) do names[t.index] = t.name end
  for _, node in ipairs(m.nodes) do
    local value = node.op == "Constant" and node.attrs.value
    if value then names[tonumber(value[1])] = node.outputs[1] end
  end
  return names
end


local function params_of(b)
  local names, params = names_of(b.model), {}
  for _, p in ipairs(b.params) do
    local t = p.source
    if t and not p.slopes then
      params[p.name] = { name = names[t.index], type = t.type, shape = t.shape,
                         view = p.view, perm = p.perm, result = p.shape }
    end
  end
  return params
end


---@param b table   of onnx.build, read to the end
---@return lunette.onnx.Origin
return function(b)
  local values, picture = values_of(b)
  return { model = b.model, values = values, picture = picture, params = params_of(b) }
end
