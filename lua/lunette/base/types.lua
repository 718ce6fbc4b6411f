---What a value is, of those that C made.
local M = {}


local function is_class(value, name)
  return type(value) == "userdata" and (getmetatable(value) or {}).__name == name
end


---@param value any
---@return boolean
function M.is_tensor(value) return is_class(value, "lunette.tensor") end


---An image of the engine's own (8-bit, for drawing); pictures of users are tensors.
---@param value any
---@return boolean
function M.is_image(value) return is_class(value, "lunette.image") end

return M
