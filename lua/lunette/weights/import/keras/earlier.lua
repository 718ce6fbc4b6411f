---ResNet-50's layers as Keras named them before 2019: res3b_branch2c, bn3b_branch1,
---fc1000. Batch norm had Keras' usual epsilon then.
local M = {}

M.eps = 1e-3

local places = { ["1"] = 0, ["2a"] = 1, ["2b"] = 2, ["2c"] = 3 }

local others = { conv1 = "conv1_conv", bn_conv1 = "conv1_bn", fc1000 = "predictions" }


---Today's name of a layer, or nil.
local function today(name)
  local kind, stage, unit, branch = name:match "^(%l+)(%d)(%l)_branch(%d%l?)$"
  local word = kind == "res" and "conv" or kind == "bn" and "bn"
  if not word or not places[branch] then return others[name] end
  return ("conv%s_block%d_%d_%s"):format(stage, unit:byte() - 96, places[branch], word)
end


---Gives modules today's names, where they have those.
---@param list lunette.import.Module[]
---@param by_name table<string, lunette.import.Module>
---@return boolean renamed
function M.rename(list, by_name)
  if not by_name.res2a_branch2a then return false end
  for _, m in ipairs(list) do
    local name = today(m.name)
    if name then m.name, by_name[name] = name, m end
  end
  return true
end

return M
