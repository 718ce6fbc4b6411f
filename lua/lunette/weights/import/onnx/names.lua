---Names of layers that a person would type: torch's module paths ("layer4.1.conv2"),
---Keras' layer names ("conv1_relu"). Exporters write them into the names of nodes:
---  /layer4/layer4.1/conv2/Conv             torch: modules, which repeat their parents,
---                                          then the operator
---  StatefulPartitionedCall/net/conv1/Conv2D__12   tf2onnx: scopes, then the operator
---Where a node has no such name, that of its weight says whose it is. A module's path
---is the name of its last layer, so that a module's name means what it puts out; its
---other layers have the operator behind it. What gives an output and has but a number
---("Gemm_17") is named as the file names the output.
local M = {}

local MOST = 200 -- letters of a name

---Scopes that say nothing.
local function says_nothing(part)
  return part == "StatefulPartitionedCall" or part == "PartitionedCall"
    or part:find "^model[_%d]*$" ~= nil or part:find "^sequential[_%d]*$" ~= nil
    or part:find "^functional[_%d]*$" ~= nil
end

---TensorFlow's operators that begin with a small letter.
local small = { add = true, sub = true, mul = true, concat = true, depthwise = true,
                convolution = true, truediv = true, mean = true, moments = true }


---Is the last part of a path the operator? In torch's it always is.
local function is_operator(part, torch)
  local word = part:gsub("_%d+$", "")
  return torch or small[word] or word:find "^%u[%a%d]*$" ~= nil
end


---Module path and operator of a name of the exporter's.
---@param name string   a node's, or of the tensor that it makes
---@return string[] parts
---@return string operator
local function split(name)
  local parts, torch = {}, name:sub(1, 1) == "/"
  for part in name:gsub(":%d+$", ""):gmatch "[^/]+" do
    parts[#parts + 1] = (part:gsub("__%d+$", ""))
  end
  while not torch and #parts > 1 and says_nothing(parts[1]) do
    table.remove(parts, 1)
  end
  if #parts > 1 and is_operator(parts[#parts], torch) then
    return parts, table.remove(parts)
  elseif #parts == 1 and torch then
    return {}, parts[1]
  end
  return parts, ""
end


---Levels repeat their parents: {"layer1", "layer1.0", "conv1"} is layer1.0.conv1.
local function joined(parts)
  local out = {}
  for i, part in ipairs(parts) do
    local next_ = parts[i + 1]
    if not (next_ and next_:sub(1, #part + 1) == part .. ".") then
      out[#out + 1] = part
    end
  end
  return table.concat(out, ".")
end


---"layer1.0.conv1.weight", "conv2d_3/kernel" -> whose weight it is; nil: it says no
---more than a number.
local function owner(weight)
  local module = weight:match "^(.+)%.weight$" or weight:match "^(.+)/kernel:?%d*$"
    or weight:match "^(.+)%.w_%d+$"
  return module and module:find "%a" and not module:find "onnx::" and module or nil
end


---Whose name a node has, and its operator.
---@param node lunette.onnx.Node
---@return string path      "": it is nobody's
---@return string operator
function M.of(node)
  local name = node.name ~= "" and node.name or node.outputs[1]
  local parts, operator = split(name)
  local path = joined(parts)
  if operator ~= "" then return path, operator end
  local by = node.name:find "[/.]" == nil and owner(node.inputs[2] or "")
  if by then return (by:gsub("/", ".")), node.op end
  if path:find "^%d+$" then path = node.op .. "_" .. path end
  return path, ""
end


---What all of them begin with, of networks whose scopes begin with their own name.
local function shared_first(paths)
  local first, many
  for _, path in ipairs(paths) do
    local head, rest = path:match "^([^.]+)%.(.+)$"
    if not head or first and head ~= first then return nil end
    first, many = head, many or rest
  end
  return #paths > 1 and first or nil
end


local function without_control(name)
  name = name:gsub("[%c%s]", "_"):sub(1, MOST)
  return name ~= "" and name ~= "input" and name or "layer"
end


---Which spec of each path is the last inside it.
local function last_inside(list)
  local last = {}
  for i, e in ipairs(list) do
    local path = e.path
    while path and path ~= "" do
      last[path] = i
      path = path:match "^(.*)%.[^.]*$"
    end
  end
  return last
end


---What the file calls a layer's output, where a person would type that.
local function output_name(e, outputs)
  local names = { e.node.outputs[1], table.unpack(e.spec.aliases or {}) }
  for _, name in ipairs(names) do
    if outputs[name] and name:find "^%a[%w_.-]*$" and #name <= MOST
       and name ~= "input" then
      return name
    end
  end
  return nil
end


---Has a layer but a number: "Gemm_17", "n23"?
local function is_number(path)
  return path:find "^%u%a*_%d+$" ~= nil or path:find "^n?%d+$" ~= nil
end


---Names layers that have but a number as the file names the output that they give.
local function name_outputs(list, outputs)
  local taken, of_file = {}, {}
  for _, e in ipairs(list) do taken[e.path] = true end
  for _, name in ipairs(outputs) do of_file[name] = true end
  for _, e in ipairs(list) do
    local name = is_number(e.path) and e.word == "" and output_name(e, of_file)
    if name and not taken[name] then e.path, e.operator = name, "" end
  end
end


---Gives every layer its name.
---@param specs table[]   the layers, in order
---@param outputs string[]   as the file names them
---@param origin table<table, { node: lunette.onnx.Node, nodes?: lunette.onnx.Node[],
---  word: string, also?: string }>   where each is from; `nodes`: it stands for
---  several; `word`: one on the way to the node's own; `also`: another node's name
---@return table<string, string> names   by the name that it has now
function M.give(specs, origin, outputs)
  local list, scoped = {}, {}
  for i, spec in ipairs(specs) do
    local o = origin[spec]
    local path, operator = M.of(o.node)
    if o.nodes then path, operator = M.common(o.nodes, path, operator) end
    list[i] = { spec = spec, path = path, operator = operator, word = o.word,
                node = o.node }
    if path ~= "" and o.node.name:find "/" and o.node.name:sub(1, 1) ~= "/" then
      scoped[#scoped + 1] = path
    end
  end
  local first = shared_first(scoped)
  for _, e in ipairs(list) do
    if first and e.path:sub(1, #first + 1) == first .. "." then
      e.path = e.path:sub(#first + 2)
    end
  end
  name_outputs(list, outputs)
  return M.unique(list, last_inside(list))
end


---The path of a layer that stands for several nodes: what they have in common, where
---that is a module.
---@return string path
---@return string operator
function M.common(nodes, path, operator)
  for _, node in ipairs(nodes) do
    local other = M.of(node)
    if other ~= path then
      -- one that is inside the other: the inner is what has a name of its own
      if other:sub(1, #path + 1) == path .. "." or path == "" and other ~= "" then
        path, operator = other, node.op
      end
    end
  end
  return path, operator
end


---Names that no other layer has.
function M.unique(list, last)
  local taken, names = {}, {}
  for i, e in ipairs(list) do
    local name = e.path
    if name == "" then
      name = e.operator
    elseif last[name] ~= i and e.operator ~= "" and e.word == "" then
      name = name .. "." .. e.operator
    end
    name = without_control(name .. e.word)
    local base, n = name, 1
    while taken[name] do
      n = n + 1
      name = ("%s_%d"):format(base, n)
    end
    taken[name] = true
    names[e.spec.name] = name
  end
  return names
end

---The names that a layer has beside its own: without its own, and no name twice.
local function aliases_of(spec, name, node, also)
  local list, seen = {}, { [name] = true }
  local given = { node.name, also or node.name, table.unpack(spec.aliases or {}) }
  if node.outputs[1] == spec.name then given[#given + 1] = spec.name end
  for _, alias in ipairs(given) do
    if not seen[alias] and alias ~= "" and #alias <= 250 and not alias:find "%c" then
      list[#list + 1], seen[alias] = alias, true
    end
  end
  return #list > 0 and list or nil
end


---Gives the layers of a graph their names: in what they read, in their parameters.
---@param b table            of onnx.build
---@param outputs string[]   layers that are outputs
---@return string[] outputs  by their new names
function M.apply(b, outputs)
  local names = M.give(b.specs, b.origin, b.model.outputs)
  for _, spec in ipairs(b.specs) do
    local o = b.origin[spec]
    for i, from in ipairs(spec.from) do spec.from[i] = names[from] or from end
    local node = o.word == "" and o.node or { name = "", outputs = {} }
    spec.aliases = aliases_of(spec, names[spec.name], node, o.also)
  end
  for _, p in ipairs(b.params) do
    local layer, key = p.name:match "^(.*)%.([^.]*)$"
    p.name = names[layer] .. "." .. key
  end
  for i, name in ipairs(outputs) do outputs[i] = names[name] end
  for _, spec in ipairs(b.specs) do spec.name = names[spec.name] end
  return outputs
end

return M
