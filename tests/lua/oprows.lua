-- The small cases of every operator that tests/c/oprows.h has, for tests in Lua.
local core = require "lunette.core"

local M = {}


---"stride=2,1 padding=0,1" as a table.
local function attributes(op, text)
  local attrs, info = {}, core.op_info(op)
  for key, value in text:gmatch "([%w_]+)=(%S+)" do
    local list = {}
    for n in value:gmatch "[^,]+" do list[#list + 1] = tonumber(n) end
    local words = info.words[key]
    attrs[key] = words and words[list[1] + 1] or #list > 1 and list
      or (key == "dims" or key == "shape") and list or list[1]
  end
  return attrs
end


---All rows, { op =, attrs =, text = }; M.fill gives them values.
---@return table[]
function M.read()
  local list = {}
  local f = assert(io.open("tests/c/oprows.h"))
  local text = f:read "a":gsub("/%*.-%*/", ""):gsub('"%s*\n%s*"', "")
  f:close()
  for op, attrs, inputs in text:gmatch '{"([%w_]+)",%s*"([^"]*)",%s*"([^"]*)"}' do
    list[#list + 1] = { op = op, attrs = attributes(op, attrs), text = inputs }
  end
  assert(#list > 100, "tests/c/oprows.h is not read")
  return list
end


---Distinct values, none nearer to another or to 0 than half a gap, shuffled.
local function spread(shape, positive, seed)
  local n = 1
  for _, d in ipairs(shape) do n = n * d end
  local order = core.uniform(seed, 3, n):argsort():totable()
  local list, gap = {}, n > 40 and 4 / n or 0.1
  for i, at in ipairs(order) do
    at = math.tointeger(at)
    list[i] = positive and 0.4 + 2 * (at + 0.5) / n
      or (at - n // 2 + 0.5 + 0.2 * (seed % 2)) * gap
  end
  return core.tensor(list):reshape { shape = shape }
end


local function input(text, seed)
  if text == "-" then return false end
  local kind, top, dims = text:match "^([+b]?)(i?%d*:?)([%d,]+)$"
  if not text:find "^i" then kind, top, dims = text:match "^([+b]?)()([%d,]+)$" end
  local shape = {}
  for d in dims:gmatch "%d+" do shape[#shape + 1] = math.tointeger(d) end
  if kind == "b" then return core.uniform(seed, 4, table.unpack(shape)):gt(0.5) end
  if text:find "^i" then
    local most = tonumber(top:match "%d+")
    return (core.uniform(seed, 5, table.unpack(shape)) * most):floor() + 1
  end
  return spread(shape, kind == "+", seed)
end


---The row with tensors for its inputs; false: left out.
---@param row table
---@return table row
function M.fill(row)
  local full = { op = row.op, attrs = row.attrs, inputs = {} }
  for part in (row.text .. "|"):gmatch "(.-)|" do
    full.inputs[#full.inputs + 1] = input(part, #full.inputs + 1)
  end
  return full
end


---What the operator is called with.
---@param row table   filled
function M.arguments(row)
  local list = {}
  for i, x in ipairs(row.inputs) do list[i] = x or nil end
  list[#row.inputs + 1] = row.attrs
  return table.unpack(list, 1, #row.inputs + 1)
end

return M
