---ONNX: from what lunette-import lists of a file to a graph and its parameters.
-- luacheck: ignore 561 (a case an attribute)
local Build = require "lunette.weights.import.onnx.build"
local constants = require "lunette.weights.import.onnx.constants"
local fold = require "lunette.weights.import.onnx.fold"
local model = require "lunette.weights.import.onnx.model"
local operators = require "lunette.weights.import.onnx.operators"

local M = {}


---The picture: the one input that is no initializer.
local function picture(m, given)
  local found
  for _, input in ipairs(m.inputs) do
    if not given[input[1]] then
      if found then
        error(("two inputs (%s, %s); which is the picture?"):format(found[1], input[1]),
              0)
      end
      found = input
    end
  end
  if not found then error("the graph has no input", 0) end
  return found
end


---Its shape (N first, N being 1), where the file or `side` says it.
local function input_shape(input, opts)
  local name, type_, text = table.unpack(input)
  if type_ ~= "F32" and type_ ~= "F16" and type_ ~= "F64" and type_ ~= "BF16" then
    error(("the input %s holds %s"):format(name, type_ == "none" and "nothing known"
          or type_), 0)
  end
  if not text or text == "none" then
    error(("the shape of %s is not in the file"):format(name), 0)
  end
  local shape = {}
  for d in text:gmatch "[^,]+" do
    local i, n = #shape + 1, math.tointeger(tonumber(d))
    if n and n < 1 then error(("input %s: dimension %d"):format(name, n), 0) end
    if not n and i > 2 then n = opts.side end
    if not n and i > 1 then
      error(("input %s has no fixed size; say it: side = 224"):format(name), 0)
    end
    shape[i] = i == 1 and 1 or n
  end
  if #shape ~= 4 and #shape ~= 2 then
    error(("input %s has %d dimensions, wanted pictures (N,C,H,W)"):format(name,
          #shape), 0)
  end
  local size = 1.0
  for _, d in ipairs(shape) do size = size * d end
  if size > 2 ^ 28 then error(("input %s is too large"):format(name), 0) end
  return shape
end


---The live value of the picture. Pictures are (C,H,W) here, whatever the file says.
local function input_value(b, input, opts)
  local shape = input_shape(input, opts)
  local order = Build.identity(#shape)
  if #shape == 4 and shape[2] > 4 and shape[4] <= 4 then order = { 1, 3, 4, 2 } end
  local ours = {}
  for i, d in ipairs(order) do if d > 1 then ours[d - 1] = shape[i] end end
  b.shapes.input = ours
  b.value[input[1]] = { layer = "input", shape = shape, order = order }
  return ours
end


---Nodes that the outputs are computed from, and those outputs; integers (ArgMax) are
---left out where there are others.
local function needed(m)
  local maker, set, outputs = {}, {}, {}
  for _, node in ipairs(m.nodes) do
    for _, name in ipairs(node.outputs) do
      if name ~= "" then
        if maker[name] then
          error(("%s is made twice, by %s and %s"):format(name,
                model.title(maker[name]), model.title(node)), 0)
        end
        maker[name] = node
      end
    end
  end
  for _, name in ipairs(m.outputs) do
    local node = maker[name]
    if not node then error(("the output %s is made by nothing"):format(name), 0) end
    if node.op ~= "ArgMax" and node.op ~= "ArgMin" or #m.outputs == 1 then
      outputs[#outputs + 1] = name
    end
  end
  local work = {}
  for i, name in ipairs(outputs) do work[i] = maker[name] end
  while #work > 0 do
    local node = table.remove(work)
    if not set[node] then
      set[node] = true
      for _, name in ipairs(node.inputs) do work[#work + 1] = maker[name] end
    end
  end
  return set, outputs, maker
end


---All operators that are not supported, in one message.
local function check_operators(m, set)
  local list, seen = {}, {}
  for _, node in ipairs(m.nodes) do
    local standard = node.domain == "" or node.domain == "ai.onnx"
    if node.op == "" then error("a node without an operator", 0) end
    local known = standard and (operators[node.op] or constants[node.op]
                                or node.op == "Shape" or node.op == "Size")
    if set[node] and not known and #list < 20 and not seen[node.op] then
      seen[node.op] = true
      local name = standard and node.op or node.domain .. "." .. node.op
      list[#list + 1] = ("%s (node %s)"):format(name, model.title(node))
    end
  end
  if #list == 0 then return end
  error(("operator%s %s: not supported (opset %d)"):format(#list > 1 and "s" or "",
        table.concat(list, ", "), m.opset), 0)
end


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
  b:fail("a large constant is computed with")
end


local function run_node(b, node)
  local x, live, all = {}, false, true
  for i, name in ipairs(node.inputs) do
    if name ~= "" then
      x[i] = b.value[name]
      if not x[i] then b:fail("reads %s, which nothing before it makes", name) end
      live = live or not x[i].const
      all = all and (not x[i].const or x[i].data ~= nil)
    end
  end
  if node.op == "Shape" or node.op == "Size" then return of_shape(node, x[1]) end
  if not live and constants[node.op] then
    local function tensor(i) return b:tensor(b.model.tensors[tonumber(i) + 1]) end
    if not all then return of_large(b, node, x) end
    return constants[node.op](node.attrs, x, tensor)
  end
  local f = operators[node.op]
  if not f then b:fail("operator %s on what depends on the picture", node.op) end
  b.own, b.asked = b:name(node), {}
  local list = table.pack(f(b, x))
  for key in pairs(node.attrs) do
    if not b.asked[key] then b:fail("attribute %s is not known", key) end
  end
  return table.unpack(list)
end


---A tensor's name, and the node's, become other names of the layer.
local function also(b, value, name)
  if value.const or not value.spec or name == value.layer or #name > 250 then return end
  if b.taken[name] or name:find "%c" then return end
  local list = value.spec.aliases or {}
  for _, other in ipairs(list) do if other == name then return end end
  if #list < 30 then
    list[#list + 1] = name
    value.spec.aliases = list
  end
end


local function run_all(b, set)
  for _, node in ipairs(b.model.nodes) do
    if set[node] then
      b.node = node
      local ok, list = pcall(function() return table.pack(run_node(b, node)) end)
      if not ok then
        local title = model.title(node)
        local text = tostring(list)
        if not text:find(title, 1, true) then text = title .. ": " .. text end
        error(text, 0)
      end
      for i, name in ipairs(node.outputs) do
        if name ~= "" and list[i] then
          if b.value[name] then
            error(("%s makes %s, which there is already"):format(model.title(node),
                  name), 0)
          end
          b.value[name] = list[i]
          also(b, list[i], name)
        end
      end
    end
  end
  b.node = nil
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


---Outputs in the order that ONNX has, as layers.
local function outputs_of(b, names)
  local list, seen = {}, {}
  for _, name in ipairs(names) do
    local v = b.value[name]
    if not v then error(("the output %s is made by nothing"):format(name), 0) end
    if v.const then
      error(("the output %s does not depend on the picture"):format(name), 0)
    end
    if v.layer == "input" then error("an output is the picture itself", 0) end
    if not Build.same(v.order, Build.identity(#v.order)) and v.order[1] == 1 then
      b.own = v.layer .. ":output"
      v = b:ordered(v)
      also(b, v, name .. ":ordered")
    end
    if not seen[v.layer] then
      list[#list + 1], seen[v.layer] = v.layer, true
    end
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


---Reads the listing of an ONNX file.
---@param lines string[][]   see lunette.weights.import.program
---@param opts? { side?: integer, name?: string, preprocessing?: string }
---@return table? arch       what lu.net takes
---@return table|string params   { name =, shape =, source =, view =, perm = | data = },
---  or a message
---@return table? model
function M.read(lines, opts)
  local ok, arch, params, m = pcall(function()
    local found = model.read(lines)
    local b, given = Build.new(found), {}
    b.opset = found.opset
    local set, outputs, maker = needed(found)
    check_operators(found, set)
    for _, t in ipairs(found.tensors) do
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
    local input = picture(found, given)
    if maker[input[1]] then
      error(("%s makes %s, which is an input"):format(model.title(maker[input[1]]),
            input[1]), 0)
    end
    local shape = input_value(b, input, opts or {})
    run_all(b, set)
    local names = outputs_of(b, outputs)
    return arch_of(b, shape, names, opts or {}), b.params, found
  end)
  if not ok then return nil, tostring(arch) end
  return arch, params, m
end

return M
