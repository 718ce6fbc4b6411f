-- Single layers by single rules (rules.safetensors): LAYER/weight, bias, input and
-- relevance are given, LAYER/RULE is the relevance of the input.
local core = require "lunette.core"
local golden = dofile((debug.getinfo(1, "S").source:sub(2):gsub("[^/]*$", ""))
                      .. "relevance.lua")

local M = {}


---R_in of one operator by a rule: `make(x)` applies it on a tape.
---@param x lunette.Tensor
---@param make fun(x: lunette.Tensor): lunette.Tensor
---@param r lunette.Tensor   relevance of the output
---@param rule any
---@return lunette.Tensor
function M.relevance(x, make, r, rule)
  local tape = core.tape()
  local leaf = tape:watch(x)
  local y = make(leaf)
  return core.backward(y, r, { leaf:node() }, { [y:node()] = rule })[1]
end


local conv_attrs = {
  conv = { stride = 2, padding = 1 },
  conv_groups2_dilation2 = { padding = 2, dilation = 2, groups = 2 },
  conv1x1_nobias = {},
}

local function operator(stored, layer)
  local function get(key)
    local f = stored[layer .. "/" .. key]
    return f and f()
  end
  local w, b = get "weight", get "bias"
  if layer == "linear" then
    return function(x) return core.ops.linear(x, w, b) end
  elseif conv_attrs[layer] then
    return function(x) return core.ops.conv2d(x, w, b, conv_attrs[layer]) end
  elseif layer == "avgpool3_stride2" then
    return function(x) return core.ops.avg_pool2d(x, { kernel = 3, stride = 2 }) end
  elseif layer == "maxpool3_stride2" then
    return function(x) return core.ops.max_pool2d(x, { kernel = 3, stride = 2 }) end
  elseif layer == "avgpool_global" then
    return core.ops.global_avg_pool
  elseif layer == "sum" then
    return function(x) return core.ops.sum(x, { dims = { x:dim() } }) end
  end
  return nil
end


---A rule as the keys write it.
local function rule_of(text)
  if text == "norm" then return "norm" end
  if text == "gradient" then return "plain" end
  local e = text:match "^epsilon([%d.]+)_clip$"
  if e then return { "epsilon", epsilon = tonumber(e), clip = 1 } end
  e = text:match "^epsilon([%d.]+)_norm_scale$"
  if e then return { "epsilon", epsilon = tonumber(e), norm_scale = 1 } end
  local body, nobias = text:gsub("_nobias$", "")
  return golden.rule(body, nobias == 1)
end


---The keys of a file that are of single layers, in order, each with what computes it.
---@param stored table<string, fun(): lunette.Tensor>
---@return { key: string, got: fun(): lunette.Tensor, want: fun(): lunette.Tensor }[]
function M.each(stored)
  local list = {}
  for key, want in pairs(stored) do
    local layer, rule = key:match "^([^/]+)/([^/]+)$"
    local make = layer and rule:find "^[enfgzaw][a-z]+[%d.]*" and rule ~= "weight"
      and operator(stored, layer)
    if make then
      list[#list + 1] = { key = key, want = want, got = function()
        return M.relevance(stored[layer .. "/input"](), make,
                           stored[layer .. "/relevance"](), rule_of(rule))
      end }
    end
  end
  table.sort(list, function(a, b) return a.key < b.key end)
  return list
end

return setmetatable(M, { __call = function() end }) -- (no rows of its own)
