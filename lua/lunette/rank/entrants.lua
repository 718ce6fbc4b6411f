---Entrants of a ranking: methods with their default options, methods with a backward
---rule after a colon ("gradcam:guided"), and control maps, which do not use the
---network.
local controls = require "lunette.explain.controls"
local drawn = require "lunette.picture.drawn"
local methods = require "lunette.methods"
local rows = require "lunette.base.rows"
local unsoftened = require "lunette.explain.unsoftened"

local M = {}

---@class lunette.Entrant
---@field name string
---@field control boolean
---@field explain fun(run: lunette.Run, o: table): lunette.Tensor   (N,H,W) of the
---  picture's size


---One plane for each picture, of the picture's size.
local function finished(map, run)
  map = drawn.planes(map:detach())
  local s = run.images:shape()
  if map:dim(2) ~= s[3] or map:dim(3) ~= s[4] then map = map:resize(s[3], s[4]) end
  return map
end


---Explains by a row with options of one's own.
local function explainer(row, rule, own)
  return function(run, o)
    local opts, all = {}, run.net:layers()
    if row.options.modifiers then opts.modifiers = unsoftened(all[#all], { rule }) end
    for key, v in pairs(own or {}) do opts[key] = v end
    if row.options.score then opts.score = o.score end
    if row.options.progress then opts.progress = o.progress or false end
    return finished(row(run, opts), run)
  end
end


local function of_row(name, row, rule)
  return { name = name, control = false, explain = explainer(row, rule) }
end


---A method with options, of which `modifier` is a backward rule.
---@param method string
---@param opts table
---@return fun(run: lunette.Run, o: table): lunette.Tensor
function M.with(method, opts)
  local own, rule = {}, nil
  for key, v in pairs(opts) do
    if key == "modifier" then rule = v else own[key] = v end
  end
  return explainer(methods[method], rule, own)
end


local function of_control(name)
  return { name = name, control = true, explain = function(run)
    return controls.control(name, run)
  end }
end


local is_control = {}
for _, name in ipairs(controls.names) do is_control[name] = true end


---Why a method takes no part, or nil.
local function unfit(row, run)
  if row.draws ~= "overlay" and row.draws ~= "map" then
    return "draws no map of the picture"
  end
  local tokens = require("lunette.explain.tokens").attentions(run.net)
  if row.family == "attention" and #tokens == 0 then return "needs attention" end
  return nil
end


---All methods that draw a map of this network's pictures, the rules that change the
---question, and the controls.
---@param run lunette.Run
---@return string[]
function M.all(run)
  local list = {}
  for _, name in ipairs(rows.names(methods)) do
    if not unfit(methods[name], run) then list[#list + 1] = name end
  end
  for _, name in ipairs { "gradcam:guided", "gradcam:rectified", "saliency:guided",
                          "saliency:rectified" } do
    list[#list + 1] = name
  end
  for _, name in ipairs(controls.names) do list[#list + 1] = name end
  return list
end


---The one of that name; nil and what is wrong.
---@param name string
---@return lunette.Entrant? entrant, string? message
function M.of(name)
  if is_control[name] then return of_control(name) end
  local method, rule = name:match "^([^:]+):?(.*)$"
  local row = methods[method or name]
  if row then return of_row(name, row, rule ~= "" and rule or nil) end
  return nil, ("method '%s' not found%s"):format(name,
    require("lunette.base.suggest").after(name, rows.names(methods)))
end

return M
