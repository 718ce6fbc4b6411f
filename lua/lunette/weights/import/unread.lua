---What is said of files that hold weights in a form that is not read.
local files = require "lunette.base.files"
local lfs = require "lfs"
local modules = require "lunette.weights.import.modules"

local M = {}


---Weights that torch keeps in parts, from which it computes them: how the parts end,
---what that is, and what makes one tensor of them.
local split = {
  { "_orig", "_mask", "is pruned", "prune.remove(module, 'weight')" },
  { "_orig", "_u", "has a spectral norm", "remove_spectral_norm(module)" },
  { "_g", "_v", "has a weight norm", "remove_weight_norm(module)" },
}


---Why one tensor is a part of a weight, or nil.
local function part(name, there)
  for _, way in ipairs(split) do
    local base = name:match("^(.*)" .. way[1] .. "$")
    if base and there[base .. way[2]] and (way[1] == "_orig" or not there[base]) then
      return ("'%s' %s (%s%s and %s%s): call torch.nn.utils.%s before saving"):format(
        base, way[3], base, way[1], base, way[2], way[4])
    end
  end
  if name:find "%.parametrizations%..+%.original%d*$" then
    return ("'%s' is parametrised: call torch.nn.utils.parametrize.remove_"
      .. "parametrizations(module, 'weight') before saving"):format(name)
  elseif name:find "%.lora_[AB]%." then
    return ("'%s' changes the weights of another file (LoRA): merge them "
      .. "(merge_and_unload), and save the whole model"):format(name)
  end
  local packed = name:match "^(.*)%.scale$"
  if packed and there[packed .. ".zero_point"] then
    return ("'%s' is quantised: save the network as it was before"):format(packed)
  end
  return nil
end


---Are all weights whole? nil and a message where one is kept in parts.
---@param tensors lunette.import.Tensor[]
---@return true? ok, string? message
function M.check_parts(tensors)
  local there = {}
  for _, t in ipairs(tensors) do there[t.name] = true end
  for _, t in ipairs(tensors) do
    local message = part(t.name, there)
    if message then return nil, message end
  end
  return true
end


---Of weights beside those that can be read: that their numbers are of another type.
---@param tensors lunette.import.Tensor[]
---@return string? message
function M.other_type(tensors)
  for _, t in ipairs(tensors) do
    if not modules.is_float(t) and #t.shape >= 2 and t.name:find "weight" then
      return ("'%s' is %s, which is not read: save the network as float32 or float16"
        ):format(t.name, t.type)
    end
  end
  return nil
end


---Why there is no file to read at a path.
---@param path string
---@return string message
function M.absent(path)
  if lfs.attributes(path, "mode") ~= "directory" then
    return path .. ": no such file, or unreadable" .. files.hint(path)
  elseif lfs.attributes(path .. "/saved_model.pb") then
    return path .. ": a SavedModel of TensorFlow, which is not read: load it in Keras, "
      .. "and model.save('x.keras')"
  end
  return path .. ": a folder: name the model's file in it"
end

return M
