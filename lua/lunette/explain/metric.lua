---What a metric is: a row that says what it needs besides a map, and a function that
---gives one number for one map. Calls take maps (N,H,W) or (H,W), and give the mean
---and the single numbers.
---
---  return metric {
---    name = "energy", needs = "mask",
---    value = function(map, mask) return inside / total end,
---  }
local options = require "lunette.base.options"

local M = {}

---@class lunette.Metric
---@field name string
---@field needs? "mask"|"map"|"run"   masks of the maps' shape (over 0.5 is the object);
---  other maps; the run that is explained; nothing
---@field options? table       name -> option
---@field value fun(map: lunette.Tensor, other: any, o: table): number, any ...
---  of one map (H,W); what it gives after the number comes as further lists
---@field title? string        heading of a table's column
---@field file? string
local Metric = {}
Metric.__index = Metric
Metric.__name = "lunette.Metric"


function Metric.__tostring(row) return "metric " .. row.name end


local others = {
  mask = { name = "mask", type = "lunette.Tensor", text = "of the map's shape" },
  map = { name = "other", type = "lunette.Tensor", text = "map of the same shape" },
  run = { name = "run", type = "lunette.Run", text = "of the pictures, as explained" },
}

---What help says of a call.
Metric.signature = {
  args = "(map, other, opts)",
  params = {
    { name = "map", type = "lunette.Tensor", text = "(N,H,W) or (H,W)" },
    { name = "other", type = "any", text = "mask, map or run; see above" },
    { name = "opts", type = "table", text = "", optional = true },
  },
  returns = { { type = "number", text = "mean" },
              { type = "any[]", text = "values, one a map" } },
}


---A metric of one's own: a row that is called as those of `lu.metrics` are.
---Example:
---  local positive = lu.metric { name = "positive",
---    value = function(map) return map:gt(0):mean():item() end }
---  print((positive(lu.tensor { { 1, -1 }, { 2, 3 } })))
---@param spec table   see docs/extending.md
---@return lunette.Metric
function M.new(spec)
  local ok = type(spec) == "table" and type(spec.name) == "string"
    and type(spec.value) == "function" and (spec.needs == nil or others[spec.needs])
  if not ok then
    error('metric: expected { name =, needs = "mask"|"map"|"run", value = function }',
          2)
  end
  local row = { options = {} }
  for key, value in pairs(spec) do row[key] = value end
  return setmetatable(row, Metric)
end


local function text(t) return "(" .. table.concat(t:shape(), ",") .. ")" end


local function check_map(what, map)
  if not options.is_tensor(map) or map:dim() < 2 or map:dim() > 3 then
    error(("%s: maps are (N,H,W) or (H,W), got %s"):format(what,
          options.is_tensor(map) and text(map) or type(map)), 4)
  end
  if not map:detach():stats().finite then
    error(("%s: the map holds NaN or infinity"):format(what), 4)
  end
end


---What the value function gets for map i besides it.
local others_of = {
  mask = function(what, map, mask)
    if not options.is_tensor(mask) or text(map) ~= text(mask) then
      error(("%s: map is %s, mask is %s"):format(what, text(map),
            options.is_tensor(mask) and text(mask) or type(mask)), 4)
    end
    local object = mask:detach():gt(0.5)
    return function(i) return map:dim() == 3 and object[i] or object end
  end,
  map = function(what, map, other)
    if not options.is_tensor(other) or text(map) ~= text(other) then
      error(("%s: maps of the same shape expected, got %s and %s"):format(what,
            text(map), options.is_tensor(other) and text(other) or type(other)), 4)
    end
    return function(i) return map:dim() == 3 and other[i] or other end
  end,
  run = function(what, map, run)
    local n = map:dim() == 3 and map:dim(1) or 1
    if getmetatable(run) ~= require("lunette.net.run").Run or run:count() ~= n then
      error(("%s: expected a run of %d images"):format(what, n), 4)
    end
    return function(i) return { run = run, i = i } end
  end,
}


local function check_other(row, map, other)
  if not row.needs then return function() end end
  return others_of[row.needs](row.name, map, other)
end


---Adds what the value function gave for map i to the lists.
local function collect(lists, i, number, ...)
  local more = select("#", ...) > 0 and { ... } or { number }
  for k, v in ipairs(more) do
    lists[k] = lists[k] or {}
    lists[k][i] = v
  end
  return number
end


---@param map lunette.Tensor   (N,H,W) or (H,W)
---@param other any
---@param opts? table
---@return number mean, any[] values
function Metric.__call(row, map, other, opts)
  if not row.needs and opts == nil then opts = other end
  check_map(row.name, map)
  local o = options.check(row.name, opts, row.options, 3)
  if o.score then o.score = require("lunette.score").of(o.score) end
  if o.modifiers then
    o.modifiers = require("lunette.modifiers.named").list(o.modifiers)
  end
  local get = check_other(row, map, other)
  map = map:detach()
  local n, sum, lists = map:dim() == 3 and map:dim(1) or 1, 0, {}
  for i = 1, n do
    local one = map:dim() == 3 and map[i] or map
    sum = sum + collect(lists, i, row.value(one, get(i), o))
  end
  return sum / n, table.unpack(lists)
end

return M
