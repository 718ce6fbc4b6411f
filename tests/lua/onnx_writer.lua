-- Writes small ONNX files, as exporters would, from tables:
--   local writer = dofile "tests/lua/onnx_writer.lua"
--   writer.write(path, { opset = 13, input = { "x", { 1, 3, 8, 8 } },
--     constants = { w = { { 4, 3, 1, 1 }, numbers } },
--     nodes = { { "Conv", { "x", "w" }, "y", { strides = { 1, 1 } },
--                 name = "/c/Conv" } },
--     outputs = { "y" } })
-- Attributes: whole numbers, lists of them, text, writer.float(v), writer.packed(list).
-- And reads them:
--   local net = writer.net(writer.lines(path), { without = { all = true } })
local fold = require "lunette.weights.import.onnx.fold"
local lu = require "lunette"
local model = require "lunette.weights.import.onnx.model"
local onnx = require "lunette.weights.import.onnx"
local program = require "lunette.weights.import.program"

local M = {}


local function varint(n)
  local out = {}
  repeat
    local low = n & 127
    n = n >> 7
    out[#out + 1] = string.char(n ~= 0 and low | 128 or low)
  until n == 0
  return table.concat(out)
end


local function whole(number, v) return varint(number << 3) .. varint(v) end


local function bytes(number, s) return varint(number << 3 | 2) .. varint(#s) .. s end
M.varint, M.whole, M.bytes = varint, whole, bytes


---A number that is written as a float attribute.
function M.float(v) return { float = v } end


---Whole numbers of one attribute behind each other in one field.
function M.packed(list)
  local s = {}
  for i, n in ipairs(list) do s[i] = varint(n) end
  return { packed = bytes(8, table.concat(s)) }
end


local function attribute(name, v)
  local s = bytes(1, name)
  if type(v) == "string" then return s .. bytes(4, v) .. whole(20, 3) end
  if math.type(v) == "integer" then return s .. whole(3, v) .. whole(20, 2) end
  if v.float then
    return s .. varint(2 << 3 | 5) .. string.pack("<f", v.float) .. whole(20, 1)
  end
  for _, n in ipairs(v.packed and {} or v) do s = s .. whole(8, n) end
  return s .. (v.packed or "") .. whole(20, 7)
end


---A tensor of floats, or, where all numbers are integers by type, of int64; data that
---are a text are the message's fields of type and numbers.
local function tensor(name, shape, data)
  if type(data) == "string" then
    local s = bytes(8, name)
    for _, d in ipairs(shape) do s = s .. whole(1, d) end
    return s .. data
  end
  local integers, raw, s = math.type(data[1]) == "integer", {}, ""
  for i, v in ipairs(data) do raw[i] = string.pack(integers and "<i8" or "<f", v) end
  for _, d in ipairs(shape) do s = s .. whole(1, d) end
  return s .. whole(2, integers and 7 or 1) .. bytes(8, name)
    .. bytes(9, table.concat(raw))
end


local function value(name, shape)
  local dims = ""
  for _, d in ipairs(shape) do
    dims = dims .. bytes(1, math.type(d) and whole(1, d) or bytes(2, d))
  end
  return bytes(1, name) .. bytes(2, bytes(1, whole(1, 1) .. bytes(2, dims)))
end


local function node(n)
  local s, outputs = "", type(n[3]) == "table" and n[3] or { n[3] }
  for _, name in ipairs(n[2]) do s = s .. bytes(1, name) end
  for _, name in ipairs(outputs) do s = s .. bytes(2, name) end
  s = s .. bytes(3, n.name or "") .. bytes(4, n[1])
  local keys = {}
  for key in pairs(n[4] or {}) do keys[#keys + 1] = key end
  table.sort(keys)
  for _, key in ipairs(keys) do s = s .. bytes(5, attribute(key, n[4][key])) end
  return s
end


---@param path string
---@param m { opset?: integer, input: table, nodes: table[], constants?: table,
---  outputs: string[] }
function M.write(path, m)
  local graph, names = bytes(2, "g"), {}
  for _, n in ipairs(m.nodes) do graph = graph .. bytes(1, node(n)) end
  for name in pairs(m.constants or {}) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    graph = graph .. bytes(5, tensor(name, table.unpack(m.constants[name])))
  end
  graph = graph .. bytes(11, value(table.unpack(m.input)))
  for _, name in ipairs(m.outputs) do graph = graph .. bytes(12, value(name, {})) end
  local f <close> = assert(io.open(path, "wb"))
  f:write(whole(1, 8), bytes(7, graph),
          bytes(8, bytes(1, "") .. whole(2, m.opset or 13)))
end


---What lunette-import lists of a file, as the importer takes it.
function M.lines(path)
  local lines = assert(program.run { "list", path })
  for _, f in ipairs(lines) do
    for i = 2, #f do f[i] = program.unescape(f[i]) end
  end
  return lines
end


---A parameter's numbers, in the order that the network wants.
local function numbers_of(p, m)
  if p.data then return p.data end
  if p.same then return lu.full(p.same, fold.product(p.shape)):totable() end
  local c = fold.make(p.view, assert(model.values(m, p.source.index), "not listed"))
  return fold.transpose(c, p.perm).data
end


---The network of a listing, with its parameters, and what else was read.
---@param opts? table   of the importer
---@return lunette.Net net, table model
function M.net(lines, opts)
  local arch, params, m = onnx.read(lines, opts)
  local net = assert(lu.net((assert(arch, params)))):init(1)
  for _, p in ipairs(params) do
    net.params[p.name] = lu.tensor(numbers_of(p, m)):reshape(table.unpack(p.shape))
  end
  return net, m
end

return M
