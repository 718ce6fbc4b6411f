---What lunette-import lists of an ONNX file, as tables.
local M = {}

---@class lunette.onnx.Node
---@field op string
---@field domain string
---@field name string
---@field inputs string[]     "" is one that is left out
---@field outputs string[]
---@field attrs table<string, { type: string, [integer]: string }>

---The newest opset of the standard operators that is known here.
local NEWEST = 21


local function numbers(text)
  local list = {}
  for n in text:gmatch "[^,]+" do
    list[#list + 1] = math.tointeger(tonumber(n)) or tonumber(n)
      or (n:find "nan" and 0 / 0) or (n:find "^%-" and -math.huge or math.huge)
  end
  return list
end


local read = {}

function read.onnx(m, f) m.ir = tonumber(f[2]) end

function read.opset(m, f)
  if f[2] == "" or f[2] == "ai.onnx" then m.opset = math.tointeger(f[3]) end
end

function read.meta(m, f) m.meta[f[2]] = f[3] or "" end

function read.tensor(m, f)
  m.tensors[#m.tensors + 1] = { index = #m.tensors, type = f[2], shape = numbers(f[3]),
                                name = f[4] }
end

function read.node(m, f)
  local node = { op = f[2], domain = f[3], name = f[4], inputs = {}, outputs = {},
                 attrs = {} }
  local count = tonumber(f[5])
  for i = 6, #f do
    local list = i <= 5 + count and node.inputs or node.outputs
    list[#list + 1] = f[i]
  end
  m.nodes[#m.nodes + 1] = node
end

function read.attr(m, f)
  local node = m.nodes[#m.nodes]
  if node.attrs[f[2]] then
    error(("%s has two attributes '%s'"):format(M.title(node), f[2]), 0)
  end
  node.attrs[f[2]] = { type = f[3], table.unpack(f, 4) }
end

function read.input(m, f) m.inputs[#m.inputs + 1] = { f[2], f[3], f[4] } end

function read.output(m, f) m.outputs[#m.outputs + 1] = f[2] end

function read.values(m, f)
  m.values[tonumber(f[2])] = f[3] or "" -- numbers when they are asked for
end

function read.external(m, f) m.outside[tonumber(f[2])] = f[3] end


---The name of a node for messages.
---@param node lunette.onnx.Node
function M.title(node)
  if node.name ~= "" then return node.name end
  return ("%s_%s"):format(node.op, node.outputs[1] or "?")
end


---@param lines string[][]   fields of every line
---@return table model   nodes, tensors, inputs, outputs, meta, opset, ir
function M.read(lines)
  local m = { nodes = {}, tensors = {}, inputs = {}, outputs = {}, meta = {},
              values = {}, outside = {} }
  for _, f in ipairs(lines) do
    if read[f[1]] then read[f[1]](m, f) end
  end
  if not m.ir or m.ir < 1 or m.ir > 13 then
    error(("IR version %s is not known (up to 13 are)"):format(tostring(m.ir)), 0)
  end
  if not m.opset or m.opset < 1 then
    error(m.opset and ("opset %d"):format(m.opset)
      or "it does not say which opset it means (opset_import)", 0)
  end
  if m.opset > NEWEST + 6 then
    error(("opset %d is newer than what is known here (%d)"):format(m.opset, NEWEST), 0)
  end
  if #m.outputs == 0 then error("the graph has no output", 0) end
  return m
end


---The numbers of a tensor, when they were listed.
---@param m table
---@param index integer
---@return number[]?
function M.values(m, index)
  local text = m.values[index]
  if type(text) == "string" then
    text = numbers(text)
    m.values[index] = text
  end
  return text
end

return M
