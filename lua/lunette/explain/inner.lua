---A method within a method: options that name it, and its values as they come.
local opt = require("lunette.base.options").opt

local M = {}


local function methods() return require "lunette.methods" end

---Which method.
M.option = opt.any("saliency", "name of the method", function(name)
  return not methods()[name] and "a method's name" or nil
end)

---Its own options.
M.with = opt.any({}, "its own options", function(v)
  return type(v) ~= "table" and "a table" or nil
end)


---The options that the inner method is called with: the values as they come.
---@param o table       options of the outer method: of, with, score, modifiers
---@param score any     (o.score)
---@return table
function M.options(o, score)
  local row = methods()[o.of]
  local opts = { raw = row.options.raw and true or nil }
  for key, value in pairs(o.with) do opts[key] = value end
  if opts.keepdims then opts.raw = nil end
  if row.options.score then opts.score = score or o.score end
  if row.options.modifiers then opts.modifiers = o.modifiers end
  return opts
end


---The inner method's map of a run.
---@param run lunette.Run
---@param o table
---@param score any
---@return lunette.Tensor
function M.map(run, o, score) return methods()[o.of](run, M.options(o, score)) end

return M
