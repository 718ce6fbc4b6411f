---Shapes: lists of whole numbers, or the shape of a tensor.
local M = {}


local function list_of(x) return type(x) == "userdata" and x:shape() or x end


---"(64,3,7,7)"
---@param x integer[]|lunette.Tensor
---@param from? integer   the first dimension that is written (1)
---@return string
function M.text(x, from)
  return "(" .. table.concat(list_of(x), ",", from or 1) .. ")"
end


---@param a integer[]|lunette.Tensor
---@param b integer[]|lunette.Tensor
---@return boolean
function M.same(a, b)
  a, b = list_of(a), list_of(b)
  if #a ~= #b then return false end
  for i = 1, #a do
    if a[i] ~= b[i] then return false end
  end
  return true
end

return M
