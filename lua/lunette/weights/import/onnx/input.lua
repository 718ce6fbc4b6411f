---The picture that an ONNX file wants: which of its inputs, in which shape and order.
local Build = require "lunette.weights.import.onnx.build"

local M = {}

local FLOATS = { F32 = true, F16 = true, F64 = true, BF16 = true }


---The picture: the one input that is no initializer.
---@param m table       of onnx.model
---@param given table   names of initializers
---@return table? input   nil, why: there is none
function M.picture(m, given)
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
  return found
end


---The dimensions that the file writes; numbers, or names and "?" where it leaves them
---open.
local function dimensions(input)
  local name, type_, text = table.unpack(input)
  if not FLOATS[type_] then
    error(("the input %s holds %s"):format(name, type_ == "none" and "nothing known"
          or type_), 0)
  end
  if not text or text == "none" then
    error(("the shape of %s is not in the file"):format(name), 0)
  end
  local list = {}
  for d in text:gmatch "[^,]+" do
    local n = math.tointeger(tonumber(d))
    list[#list + 1] = n or d
    if n and n < 1 then error(("input %s: dimension %d"):format(name, n), 0) end
  end
  return list
end


---Are the channels of (N,?,?,?) the last of four? Pictures have 1 to 4.
local function channels_last(dims)
  local first, last = math.tointeger(dims[2]), math.tointeger(dims[4])
  return #dims == 4 and last and last <= 4 and not (first and first <= 4)
end


---Which dimensions are height (1) and width (2).
local function sides(dims)
  if channels_last(dims) or #dims == 3 then return { [2] = 1, [3] = 2 } end
  return { [3] = 1, [4] = 2 }
end


---Heights and widths that the file leaves open are what the caller says.
local function filled(input, dims, opts)
  local open, shape, side = sides(dims), {}, opts.side
  if type(side) ~= "table" then side = { side, side } end
  for i, d in ipairs(dims) do
    if i == 1 and #dims ~= 3 then d = 1 end
    if not math.tointeger(d) then d = side[open[i]] end
    if not math.tointeger(d) then
      error(("input %s has no fixed size; say it: side = 224"):format(input[1]), 0)
    end
    shape[i] = d
  end
  return shape
end


local function check_size(input, shape)
  local size = 1.0
  for _, d in ipairs(shape) do size = size * d end
  if size > 2 ^ 28 then error(("input %s is too large"):format(input[1]), 0) end
end


---ONNX's shape of the picture, the batch being 1, and its order: which dimension of
---ours each is. Ours are (N,C,H,W). One of three dimensions comes without a batch.
local function of_picture(input, opts)
  local dims = dimensions(input)
  if #dims < 2 or #dims > 4 then
    error(("input %s has %d dimensions, wanted pictures (N,C,H,W)"):format(input[1],
          #dims), 0)
  end
  local shape = filled(input, dims, opts)
  if #shape == 3 then return shape, { 2, 3, 4 } end
  return shape, channels_last(dims) and { 1, 3, 4, 2 } or Build.identity(#shape)
end


---Any tensor: its first dimension is the batch ("batched"), or all are values.
local function of_tensor(input, whole)
  local shape, order = dimensions(input), {}
  if not whole then shape[1] = 1 end
  for i = 1, #shape do order[i] = whole and i + 1 or i end
  if #shape > (whole and 5 or 6) then
    error(("input %s has %d dimensions"):format(input[1], #shape), 0)
  end
  return shape, order
end


---Makes the input a live value of the graph b.
---@param b table            of onnx.build
---@param input table        its line
---@param opts table         side =, tensor = "batched" or "whole"
---@return integer[] shape   of our input, without the batch
function M.value(b, input, opts)
  local shape, order
  if opts.tensor then
    shape, order = of_tensor(input, opts.tensor == "whole")
  else
    shape, order = of_picture(input, opts)
  end
  check_size(input, shape)
  local ours = {}
  for i, d in ipairs(order) do if d > 1 then ours[d - 1] = shape[i] end end
  if #ours == 0 then ours[1] = 1 end
  b.shapes.input, b.copies.input = ours, 1
  b.single = not Build.batched { order = order } -- whatever stands in front is a value
  b.picture = { layer = "input", shape = shape, order = order }
  b.value[input[1]] = b.picture
  return ours
end

return M
