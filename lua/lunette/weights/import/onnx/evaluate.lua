---Runs through the nodes of an ONNX graph in order: what is known becomes a constant,
---what depends on the picture layers.
local constants = require "lunette.weights.import.onnx.constants"
local fold = require "lunette.weights.import.onnx.fold"
local model = require "lunette.weights.import.onnx.model"
local slopes = require "lunette.weights.import.onnx.slopes"
local operators = require "lunette.weights.import.onnx.operators"

local M = {}


---Shape and Size are known: they are constants.
local function of_shape(node, x)
  if node.op == "Size" then return fold.make({}, { fold.product(x.shape) }, true) end
  local a, e = node.attrs.start, node.attrs["end"]
  local n = #x.shape
  local from, to = a and tonumber(a[1]) or 0, e and tonumber(e[1]) or n
  if from < 0 then from = from + n end
  if to < 0 then to = to + n end
  local list = { table.unpack(x.shape, math.max(0, from) + 1, math.min(n, to)) }
  return fold.make({ #list }, list, true)
end


---Constants whose numbers are not listed may still be seen in another way.
local function of_large(b, node, x)
  local c = x[1]
  local as_it_is = { Identity = true, Cast = true, Dropout = true }
  if as_it_is[node.op] then return c end
  local small = fold.make(c.shape, c.data)
  if node.op == "Reshape" and x[2] and x[2].data then
    local zero = node.attrs.allowzero
    return b:reshaped(c, constants.shape_of(x[2].data, c.shape,
                                            zero and zero[1] ~= "0"))
  elseif node.op == "Unsqueeze" or node.op == "Squeeze" then
    small.data = {}
    return b:reshaped(c, constants[node.op](node.attrs, { small, x[2] }).shape)
  elseif node.op == "Transpose" then
    local perm, given = {}, node.attrs.perm
    for i = 1, #c.shape do
      perm[i] = given and tonumber(given[i]) + 1 or #c.shape + 1 - i
    end
    return b:turn(c, perm)
  end
  return slopes.of(node.op, x)
end


---Operators that read copies of a picture as one row, and places that count through it.
local of_copies = { Reshape = true, Scatter = true, ScatterElements = true,
                    Slice = true }

---Makes layers of what such an operator left to be made.
local function settle(b, x)
  for i, v in pairs(x) do
    if v.through then b:fail("it reads where maxima are in copies of a picture") end
    x[i] = b:settled(v)
  end
end


---Reads the layers' operator: a constant that none of `constants` computes is made to
---depend on the picture, which it does not change with.
local function computed(b, node, x, live)
  local f = operators[node.op]
  if not f then b:fail("operator %s on what depends on the picture", node.op) end
  b.own, b.asked = b:name(node), {}
  if not live then x[1] = b:alive(x[1]) end
  if not of_copies[node.op] then settle(b, x) end
  local list = table.pack(f(b, x))
  for key in pairs(node.attrs) do
    if not b.asked[key] then b:fail("attribute %s is not known", key) end
  end
  return table.unpack(list)
end


---What a node reads: constants and live values; whether one is live, whether the
---numbers of all are known.
local function inputs_of(b, node)
  local x, live, all = {}, false, true
  for i, name in ipairs(node.inputs) do
    if name ~= "" then
      x[i] = b.value[name]
      if not x[i] then b:fail("reads %s, which nothing before it makes", name) end
      live = live or not x[i].const
      all = all and (not x[i].const or x[i].data ~= nil)
    end
  end
  return x, live, all
end


local function run_node(b, node)
  local x, live, all = inputs_of(b, node)
  if node.op == "Shape" or node.op == "Size" then return of_shape(node, x[1]) end
  if not live and constants[node.op] then
    local function tensor(i) return b:tensor(b.model.tensors[tonumber(i) + 1]) end
    if all then return constants[node.op](node.attrs, x, tensor) end
    local large = of_large(b, node, x)
    if large then return large end
    if not operators[node.op] then b:fail("a large constant is computed with") end
  end
  return computed(b, node, x, live)
end


---A tensor's name, and the node's, become other names of the layer.
function M.also(b, value, name)
  if value.const or not value.spec or name == value.layer or #name > 250 then return end
  if b.taken[name] or name:find "%c" then return end
  local list = value.spec.aliases or {}
  for _, other in ipairs(list) do if other == name then return end end
  if #list < 30 then
    list[#list + 1] = name
    value.spec.aliases = list
  end
end


---One node; its name stands before whatever is wrong.
local function named(b, node)
  local ok, list = pcall(function() return table.pack(run_node(b, node)) end)
  if ok then return list end
  local title, text = model.title(node), tostring(list)
  error(text:find(title, 1, true) and text or title .. ": " .. text, 0)
end


---Computes the nodes of `set`.
---@param b table     of onnx.build
---@param set table   nodes that are wanted
function M.run(b, set)
  for _, node in ipairs(b.model.nodes) do
    b.node = node
    local list = set[node] and named(b, node) or {}
    for i, name in ipairs(node.outputs) do
      if name ~= "" and list[i] then
        if b.value[name] then
          error(("%s makes %s, which there is already"):format(model.title(node), name),
                0)
        end
        b.value[name] = list[i]
        M.also(b, list[i], name)
      end
    end
  end
  b.node = nil
end

return M
