---What an audit looks at: a network and pictures, of which some find a trigger and
---others, unseen, judge it.
local blame = require "lunette.base.blame"
local margin = require "lunette.attack.margin"
local core = require "lunette.core"
local labels = require "lunette.score.labels"
local preprocessing = require "lunette.picture.preprocessing"
local space = require "lunette.attack.space"

local M = {}

---@class lunette.AuditSubject
---@field net lunette.Net
---@field space lunette.LevelSpace
---@field levels lunette.Tensor   (N,C,H,W), 0 .. 255
---@field says integer[]          the class of each picture, as the network says
---@field count integer           of classes
---@field range string            how levels become the network's input
local Subject = {}
Subject.__index = Subject


---What the network says of levels, some at a time.
---@param net lunette.Net
---@param s lunette.LevelSpace
---@param levels lunette.Tensor
---@return integer[] classes
function M.says(net, s, levels)
  local list, n = {}, levels:dim(1)
  for first = 1, n, 20 do
    local some = levels:narrow { dim = 1, start = first,
                                 length = math.min(20, n - first + 1) }
    local run <close> = net:run(s:input(some), { modifiers = margin.modifiers(net),
                                                 keep = false })
    for _, top in ipairs(run:top(1)) do list[#list + 1] = top[1].class end
  end
  return list
end


---How levels become the input: said, since a trigger of another range means nothing.
local function range_of(net)
  local spec = preprocessing.spec(net.preprocessing)
  local mean, std = {}, {}
  for c = 1, net.input[1] do
    mean[c] = ("%.4g"):format(spec.mean[c] or spec.mean[1])
    std[c] = ("%.4g"):format(spec.std[c] or spec.std[1])
  end
  return ("levels 0 .. 255, input = (level * %.6g - mean) / std, mean %s, std %s"
    ):format(spec.scale, table.concat(mean, " "), table.concat(std, " "))
end


---@param net lunette.Net
---@param levels lunette.Tensor   (N,C,H,W)
---@return lunette.AuditSubject
function M.new(net, levels)
  local layers = net:layers()
  local shape = layers[#layers].shape
  if #shape ~= 1 or shape[1] < 3 then
    blame(("audit: %s says no list of at least 3 classes"):format(net.name))
  end
  if not net.preprocessing then
    blame(("audit: %s does not say how pictures become its input (preprocessing)"
      ):format(net.name))
  end
  local s = setmetatable({ net = net, space = space.of(net), levels = levels,
                           count = shape[1], range = range_of(net) }, Subject)
  s.says = M.says(net, s.space, levels)
  return s
end


---@param class integer
---@return string
function Subject:name_of(class)
  return labels.name(class, self.net) or tostring(class)
end


---Pictures from first to last that the network does not call `class`.
---@return lunette.Tensor? levels   nil: there are none
function Subject:others(class, first, last)
  local numbers = {}
  for i = first, last do
    if self.says[i] ~= class then numbers[#numbers + 1] = i end
  end
  if #numbers == 0 then return nil end
  return self.levels:index_select(core.tensor(numbers), { dim = 1 })
end

return M
