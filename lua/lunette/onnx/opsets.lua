---Operators as other opsets have them. Nodes are written as opsets 13 to 17 have them
---(lunette.onnx.operators); for a file of another opset a row says what stands there
---instead:
---
---  { below = 13, write = function(g, n, make) ... end }      or from = 18
---
---where n is the node, { op =, inputs =, attrs =, outputs =, name = }; `g:put(n)`
---writes it as it is now, `make(op, inputs, attrs)` a node on the way to it, whose
---output's name it returns.
local M = {}

local FLOAT = 1

---What is raised where an opset has no way to say something.
---@class lunette.OpsetRefusal
---@field message string
local Refusal = {}
Refusal.__index = Refusal
function Refusal:__tostring() return self.message end


---The message of a refusal; nil: it is none.
---@param problem any
---@return string?
function M.refusal(problem)
  return getmetatable(problem) == Refusal and problem.message or nil
end


local function refuse(g, op, since)
  error(setmetatable({ message = ("%s needs opset %d, and the file has %d"):format(op,
        since, g.opset) }, Refusal), 0)
end


---The numbers of an input, a constant of the graph's own.
local function numbers(g, n, i)
  local list = g.lists[n.inputs[i] or ""]
  if list then return list end
  error(setmetatable({ message = ("%s wants numbers that are known at opset %d"):format(
        n.op, g.opset) }, Refusal), 0)
end


---Inputs that were attributes once, lists or single numbers, by their place.
local function as_attributes(below, lists, singles)
  return { below = below, write = function(g, n)
    for i, key in pairs(lists) do
      if n.inputs[i] then n.attrs[key] = numbers(g, n, i) end
    end
    for i, key in pairs(singles or {}) do
      if n.inputs[i] then n.attrs[key] = numbers(g, n, i)[1] + 0.0 end
    end
    n.inputs = { n.inputs[1] }
    g:put(n)
  end }
end


local function axes_as_input()
  return { from = 18, write = function(g, n)
    if n.attrs.axes then n.inputs[2], n.attrs.axes = g:ints(n.attrs.axes), nil end
    g:put(n)
  end }
end


---The row of an operator that a later opset added and that cannot be written before.
local function since(opset)
  return { below = opset, write = function(g, n) refuse(g, n.op, opset) end }
end


local function any_above_1(list)
  for _, v in ipairs(list or {}) do if v ~= 1 then return true end end
  return false
end


local slice_attributes = as_attributes(10, { [2] = "starts", [3] = "ends",
                                             [4] = "axes" })

local function slice(g, n)
  if n.inputs[5] and any_above_1(numbers(g, n, 5)) then
    refuse(g, "Slice with steps", 10)
  end
  slice_attributes.write(g, n)
end


local function pool(g, n)
  if any_above_1(n.attrs.dilations) then refuse(g, n.op .. " with dilations", 10) end
  if n.outputs[2] and g.opset < 8 then refuse(g, "the place of the largest", 8) end
  if n.attrs.ceil_mode == 1 then refuse(g, n.op .. " of ceil_mode", 10) end
  n.attrs.dilations, n.attrs.ceil_mode = nil, nil
  g:put(n)
end


---At least is not below, also of NaN as far as masks go.
local function negation(of)
  return { below = 12, write = function(g, n, make)
    g:put { op = "Not", inputs = { make(of, n.inputs) }, outputs = n.outputs }
  end }
end


---Equal are numbers of which neither is less.
local function equal(g, n, make)
  local differ = make("Or", { make("Less", n.inputs), make("Greater", n.inputs) })
  g:put { op = "Not", inputs = { differ }, outputs = n.outputs }
end


local function where(g, n, make)
  local yes = make("Cast", { n.inputs[1] }, { to = FLOAT })
  local no = make("Cast", { make("Not", { n.inputs[1] }) }, { to = FLOAT })
  g:put { op = "Add", outputs = n.outputs, inputs = {
    make("Mul", { n.inputs[2], yes }), make("Mul", { n.inputs[3], no }) } }
end


---The larger, or the smaller, of two of any shapes.
local function of_two(comparison)
  return function(g, n, make)
    local a, b = n.inputs[1], n.inputs[2]
    local own = { inputs = { make(comparison, { a, b }), a, b }, outputs = n.outputs }
    where(g, own, make)
  end
end


---1 where the column's number is the class.
local function one_hot(g, n, make)
  local count, range = numbers(g, n, 2)[1], {}
  for k = 1, count do range[k] = k - 1 end
  local ids = make("Unsqueeze", { n.inputs[1] }, { axes = { 1 } })
  local same = g:name(n.outputs[1] .. "/Equal") -- of whole numbers, which it always had
  local columns = g:ints(range, { 1, count })
  g:put { op = "Equal", inputs = { ids, columns }, outputs = { same } }
  g:put { op = "Cast", inputs = { same }, attrs = { to = FLOAT }, outputs = n.outputs }
end


local function sign(g, n, make)
  local zero = g:number(0)
  local up = make("Cast", { make("Greater", { n.inputs[1], zero }) }, { to = FLOAT })
  local down = make("Cast", { make("Less", { n.inputs[1], zero }) }, { to = FLOAT })
  g:put { op = "Sub", inputs = { up, down }, outputs = n.outputs }
end


local function scatter(g, n)
  if g.opset < 9 then refuse(g, n.op, 9) end
  n.op = "Scatter"
  g:put(n)
end


---Without C it was no Gemm.
local function gemm(g, n)
  n.inputs[3] = n.inputs[3] or g:number(0)
  g:put(n)
end


---Inputs that are left out were empty.
local function resize(g, n)
  for i = 2, 3 do n.inputs[i] = n.inputs[i] or g:empty() end
  g:put(n)
end


---@type table<string, { below?: integer, from?: integer, write: function }[]>
M.rows = {
  ReduceSum = { as_attributes(13, { [2] = "axes" }) },
  ReduceMean = { axes_as_input() }, ReduceMax = { axes_as_input() },
  ReduceMin = { axes_as_input() }, ReduceProd = { axes_as_input() },
  Resize = { { below = 13, write = resize } },
  GreaterOrEqual = { negation "Less" }, LessOrEqual = { negation "Greater" },
  Equal = { { below = 11, write = equal } },
  Clip = { as_attributes(11, {}, { [2] = "min", [3] = "max" }) },
  Pad = { as_attributes(11, { [2] = "pads" }, { [3] = "value" }) },
  Gemm = { { below = 11, write = gemm } },
  ScatterElements = { { below = 11, write = scatter } },
  GatherElements = { since(11) }, Round = { since(11) },
  Slice = { { below = 10, write = slice } }, MaxPool = { { below = 10, write = pool } },
  AveragePool = { { below = 10, write = pool } },
  Where = { { below = 9, write = where } }, OneHot = { { below = 9, write = one_hot } },
  Sign = { { below = 9, write = sign } }, Erf = { since(9) },
  Max = { { below = 8, write = of_two "Greater" } },
  Min = { { below = 8, write = of_two "Less" } },
}


---What stands for an operator in a file of that opset; nil: it is as it is.
local function row_of(op, opset)
  for _, row in ipairs(M.rows[op] or {}) do
    if row.below and opset < row.below or row.from and opset >= row.from then
      return row
    end
  end
end


---Writes a node as the graph's opset has it.
---@param g lunette.OnnxGraph
---@param n table   as Graph:put takes it
function M.write(g, n)
  local row = row_of(n.op, g.opset)
  if not row then return g:put(n) end
  local own = { op = n.op, inputs = { table.unpack(n.inputs, 1, #n.inputs) },
                attrs = {}, outputs = n.outputs, name = n.name }
  for key, v in pairs(n.attrs or {}) do own.attrs[key] = v end
  row.write(g, own, function(op, inputs, attrs)
    local name = g:name(("%s/%s"):format(n.outputs[1], op))
    M.write(g, { op = op, inputs = inputs, attrs = attrs, outputs = { name } })
    return name
  end)
end

return M
