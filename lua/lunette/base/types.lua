---What a value is.
local blame = require "lunette.base.blame"

local M = {}


local function is_class(value, name)
  return type(value) == "userdata" and (getmetatable(value) or {}).__name == name
end


---@param value any
---@return boolean
function M.is_tensor(value) return is_class(value, "lunette.tensor") end


---Is it a whole number from 1 on? A text of one is none; math.tointeger takes it.
---@param value any
---@return boolean
function M.is_count(value)
  return type(value) == "number" and math.tointeger(value) ~= nil and value >= 1
end


---An image of the engine's own (8-bit, for drawing); pictures of users are tensors.
---@param value any
---@return boolean
function M.is_image(value) return is_class(value, "lunette.image") end


---Is it an object of a class of Lua: "lunette.Net", "lunette.Run"?
---@param value any
---@param name string
---@return boolean
function M.is_object(value, name)
  return type(value) == "table" and (getmetatable(value) or {}).__name == name
end


---Raises where a network is expected and something else was given.
---@param what string   who was called
---@param value any
function M.check_net(what, value)
  if M.is_object(value, "lunette.Net") then return end
  blame(("%s: a network expected, got %s"):format(what, type(value)))
end

return M
