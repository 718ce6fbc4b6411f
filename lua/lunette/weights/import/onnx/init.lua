---ONNX: from what lunette-import lists of a file to a graph and its parameters.
local Build = require "lunette.weights.import.onnx.build"
local constants = require "lunette.weights.import.onnx.constants"
local evaluate = require "lunette.weights.import.onnx.evaluate"
local idioms = require "lunette.weights.import.onnx.idioms"
local inputs = require "lunette.weights.import.onnx.input"
local model = require "lunette.weights.import.onnx.model"
local names = require "lunette.weights.import.onnx.names"
local operators = require "lunette.weights.import.onnx.operators"

local M = {}


---Which node makes each value.
local function makers(m)
  local maker = {}
  for _, node in ipairs(m.nodes) do
    for _, name in ipairs(node.outputs) do
      if name ~= "" and maker[name] then
        error(("%s is made twice, by %s and %s"):format(name, model.title(maker[name]),
              model.title(node)), 0)
      end
      if name ~= "" then maker[name] = node end
    end
  end
  return maker
end


---The outputs; integers (ArgMax) are left out where there are others.
local function wanted(m, maker)
  local outputs = {}
  for _, name in ipairs(m.outputs) do
    local node = maker[name]
    if not node then error(("the output %s is made by nothing"):format(name), 0) end
    local index = node.op == "ArgMax" or node.op == "ArgMin"
    if not index or #m.outputs == 1 then outputs[#outputs + 1] = name end
  end
  return outputs
end


---The nodes that values are computed from.
local function needed(outputs, maker)
  local set, work = {}, {}
  for i, name in ipairs(outputs) do work[i] = maker[name] end
  while #work > 0 do
    local node = table.remove(work)
    if not set[node] then
      set[node] = true
      for _, name in ipairs(node.inputs) do work[#work + 1] = maker[name] end
    end
  end
  return set
end


local function standard(node) return node.domain == "" or node.domain == "ai.onnx" end


local function is_known(node)
  if node.op == "" then error("a node without an operator", 0) end
  return standard(node) and (operators[node.op] or constants[node.op]
                             or node.op == "Shape" or node.op == "Size")
end


---All operators that are not supported, in one message.
local function check_operators(m, set)
  local list, seen = {}, {}
  for _, node in ipairs(m.nodes) do
    local known = is_known(node)
    if set[node] and not known and #list < 20 and not seen[node.op] then
      seen[node.op] = true
      local name = standard(node) and node.op or node.domain .. "." .. node.op
      list[#list + 1] = ("%s (node %s)"):format(name, model.title(node))
    end
  end
  if #list == 0 then return end
  error(("operator%s %s: not supported (opset %d)"):format(#list > 1 and "s" or "",
        table.concat(list, ", "), m.opset), 0)
end


---{0: 'tench', 1: "goldfish"} or ["tench", "goldfish"], as exporters write them;
---parsed, never run.
local function labels_of(meta)
  local text = meta.names or meta.class_names
  if not text or not text:find "^%s*[%[{]" then return nil end
  local list = {}
  for _, s in text:gmatch "(['\"])(.-)%1" do list[#list + 1] = s end
  return #list > 0 and list or nil
end


---The layer of an output: its values lie as ONNX sees them.
local function output_layer(b, name, v)
  if v.layer == "input" then
    b.own = "output"
    v = b:layer("identity", { v }, nil, v.order)
  end
  local natural = Build.same(v.order, Build.natural(v, #v.order))
  if natural or Build.batched(v) and v.order[1] ~= 1 then return v.layer end
  b.own, b.node = v.layer .. ":output", b.origin[v.spec].node
  b.words[b.own] = ":output"
  v = b:ordered(v)
  evaluate.also(b, v, name .. ":ordered")
  return v.layer
end


---Outputs in the order that ONNX has, as layers; constants are left out where there
---are others.
local function outputs_of(b, wanted_)
  local list, seen, constant = {}, {}, nil
  for _, name in ipairs(wanted_) do
    local v = b.value[name]
    if not v then error(("the output %s is made by nothing"):format(name), 0) end
    local layer = not v.const and output_layer(b, name, v)
    constant = constant or v.const and name
    if layer and not seen[layer] then
      list[#list + 1], seen[layer] = layer, true
    end
  end
  if #list == 0 then
    error(("the output %s does not depend on the picture"):format(constant), 0)
  end
  return list
end


---What lu.net takes.
local function arch_of(b, input, outputs, opts)
  local arch = { name = opts.name or "onnx", input = input, layers = b.specs,
                 labels = labels_of(b.model.meta), preprocessing = opts.preprocessing }
  local last = b.specs[#b.specs].name
  if #outputs > 1 or last ~= outputs[1] then arch.outputs = outputs end
  return arch
end


---Initializers become constants.
---@return table given   their names
local function take_initializers(b, maker)
  local given = {}
  for _, t in ipairs(b.model.tensors) do
    if not t.name:find "^constant %d+$" then
      if given[t.name] then
        error(("two initializers are called %s"):format(t.name), 0)
      end
      if maker[t.name] then
        error(("%s makes %s, which is an initializer"):format(
              model.title(maker[t.name]), t.name), 0)
      end
      given[t.name] = true
      b.value[t.name] = b:tensor(t)
    end
  end
  return given
end


---Builds the graph.
---@return table b, integer[]? shape, string[] outputs
local function build(lines, opts)
  local found = model.read(lines)
  local b = Build.new(found)
  b.opset = found.opset
  local maker = makers(found)
  local outputs = wanted(found, maker)
  local set = needed(outputs, maker)
  check_operators(found, set)
  local input = inputs.picture(found, take_initializers(b, maker))
  if input and maker[input[1]] then
    error(("%s makes %s, which is an input"):format(model.title(maker[input[1]]),
          input[1]), 0)
  end
  local shape = input and inputs.value(b, input, opts)
  evaluate.run(b, set)
  return b, shape, outputs
end


---The graph with its idioms folded and its layers named.
---@return table arch, table b
local function whole(lines, opts)
  local b, shape, outputs = build(lines, opts)
  if not shape then error("the graph has no input", 0) end
  local layers = outputs_of(b, outputs)
  idioms.fold(b, layers, opts.without)
  return arch_of(b, shape, names.apply(b, layers), opts), b
end


---Reads the listing of an ONNX file.
---@param lines string[][]   see lunette.weights.import.program
---@param opts? { side?: integer|integer[], name?: string, preprocessing?: string,
---  tensor?: string, without?: table<string, boolean> }   tensor: the input is no
---  picture; its first dimension is the batch ("batched"), or there is none ("whole");
---  without: idioms that are left in pieces, "all" of them
---@return table? arch       what lu.net takes
---@return table|string params   { name =, shape =, source =, view =, perm = | data = },
---  or a message
---@return table? model
---@return table? b   what it was built from, for `origin`
function M.read(lines, opts)
  local ok, arch, b = pcall(whole, lines, opts or {})
  if not ok then return nil, tostring(arch) end
  return arch, b.params, b.model, b
end


---The outputs that do not depend on the picture.
---@param lines string[][]
---@param opts? table   as for read
---@return table<string, { shape: integer[], data: number[] }>? constants
---@return string? message
function M.constants(lines, opts)
  local ok, found = pcall(function()
    local b, _, outputs = build(lines, opts or {})
    local list = {}
    for _, name in ipairs(outputs) do
      local v = b.value[name]
      if v and v.const then list[name] = { shape = v.shape, data = v.data } end
    end
    return list
  end)
  if not ok then return nil, tostring(found) end
  return found
end

return M
