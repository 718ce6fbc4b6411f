---What a metric is: a row that says what it needs besides a map, and a function that
---gives one number for one map. Calls take maps (N,H,W) or (H,W), and give the mean
---and the single numbers.
---
---  return metric {
---    name = "energy", needs = "mask", family = "mask", better = "higher",
---    value = function(map, mask) return inside / total end,
---  }
local again = require "lunette.explain.again"
local blame = require "lunette.base.blame"
local options = require "lunette.base.options"
local rows = require "lunette.base.rows"
local stories = require "lunette.explain.story"
local strict = require "lunette.base.strict"
local types = require "lunette.base.types"
local opt = options.opt
require "lunette.tensors" -- whose methods the metrics use

local M = {}

---@class lunette.Metric
---@field name string
---@field needs? "mask"|"map"|"run"|"method"   masks of the maps' shape (over 0.5 is the
---  object); other maps; the run that is explained; the run and the method, which is
---  called again; nothing
---@field family? string       of M.families
---@field better? "higher"|"lower"   which end is the good one, where there is one
---@field paper? string
---@field channels? boolean    maps with channels, (N,C,H,W), will do
---@field any_size? boolean    of the faithfulness family: maps of another size than the
---  picture will do
---@field options? table       name -> option; entries without a key name shared options
---@field value fun(map: lunette.Tensor, other: any, o: table): number, any ...
---  of one map (H,W); what it gives after the number comes as further lists
---@field title? string        heading of a table's column
---@field file? string
local Metric = strict.class("metric", {})
Metric.__index = Metric
Metric.__name = "lunette.Metric"


---What metrics look at, in the order in which listings have them: the object's mask;
---what the network says without the pixels; what becomes of the map when the picture
---changes a little; how much there is to read; whether it depends on the weights and
---the class; how alike two maps are.
M.families = { "mask", "faithfulness", "robustness", "complexity", "sanity",
               "likeness" }


---Options that many metrics have, by name.
M.shared = {
  score = opt.score("predicted", "class id or name, predicted, or a score; of a map "
    .. "that says which class it explains, that one"),
  modifiers = opt.any({}, "linear: the logit instead of the probability"),
  batch = opt.quiet(opt.count(16, "pictures at a time")),
  seed = opt.count(0, "of the random numbers", math.mininteger),
  method = opt.any(false, "what made the map: a method's name or row, or "
    .. "function(run, { score =, modifiers = }); a map of Lunette's knows it",
    function(v)
      local ok = type(v) == "string" or type(v) == "function" or type(v) == "table"
      return v and not ok and "a method or a function" or nil
    end),
  with = opt.any({}, "the method's options", function(v)
    return type(v) ~= "table" and "a table of options" or nil
  end),
}


function Metric.__tostring(row) return "metric " .. row.name end


local others = {
  mask = { name = "mask", type = "lunette.Tensor", text = "of the map's shape" },
  map = { name = "other", type = "lunette.Tensor", text = "map of the same shape" },
  run = { name = "run", type = "lunette.Run", text = "of the pictures, as explained" },
}
others.method = others.run


---Options by name: the row's own and the shared ones that it names.
local function expand(row)
  local full = {}
  for key, value in pairs(row.options or {}) do
    if math.type(key) == "integer" then
      full[value] = M.shared[value]
        or blame(("metric '%s': no shared option '%s'"):format(row.name, value))
    else
      full[key] = value
    end
  end
  return full
end

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


---What a row of a metric lacks, or nil.
local function lacking(spec)
  local wrong = rows.lacking(spec, "value", "function(map, ...)")
  if wrong then return wrong end
  if spec.needs == nil or others[spec.needs] then return nil end
  return "needs is none of these: it is " .. types.told(spec.needs)
end


---A metric of one's own: a row that is called as those of `lu.metrics` are.
---Example:
---  local positive = lu.metric { name = "positive",
---    value = function(map) return map:gt(0):mean():item() end }
---  print((positive(lu.tensor { { 1, -1 }, { 2, 3 } })))
---@param spec table   see docs/extending.md
---@return lunette.Metric
function M.new(spec)
  local wrong = lacking(spec)
  if wrong then
    blame(('metric: %s; expected { name =, needs = "mask"|"map"|"run"|"method", '
          .. 'value = function }'):format(wrong))
  end
  local row = {}
  for key, value in pairs(spec) do row[key] = value end
  row.options = expand(row)
  return setmetatable(row, Metric)
end


local function text(t) return "(" .. table.concat(t:shape(), ",") .. ")" end


---What is wrong with a map's shape, or nil.
local function wrong_shape(row, map)
  if not options.is_tensor(map) then return types.told(map) end
  local most = row.channels and 4 or 3
  if map:dim() >= 2 and map:dim() <= most then return nil end
  local advice = "; sum or choose the channels: map:sum { dims = { 2 } }"
  return text(map) .. (map:dim() == 4 and advice or "")
end


local function check_map(row, map)
  local wrong = wrong_shape(row, map)
  if wrong then
    blame(("%s: maps are %s(N,H,W) or (H,W), got %s"):format(row.name,
          row.channels and "(N,C,H,W), " or "", wrong))
  end
  if not map:detach():stats().finite then
    blame(("%s: the map holds NaN or infinity"):format(row.name))
  end
end


---Of a batch map i, of a single one that.
local function part(t, map, i) return map:dim() > 2 and t[i] or t end


local function check_run(what, map, run)
  local n = map:dim() > 2 and map:dim(1) or 1
  if getmetatable(run) ~= require("lunette.net.run").Run or run:count() ~= n then
    blame(("%s: expected a run of %d images, got %s"):format(what, n, types.told(run)))
  end
end


---Metrics that change pixels in the map's order need a map of the picture's size.
local function check_size(row, map, run)
  if row.family ~= "faithfulness" or row.any_size then return end
  local s, n = run.images:shape(), map:dim()
  if #s == 4 and map:dim(n - 1) == s[3] and map:dim(n) == s[4] then return end
  blame(("%s: the map is %s, the pictures %s: give maps of the pictures' size, "
         .. "map:resize(%d, %d)"):format(row.name, text(map), text(run.images),
        s[3] or 0, s[4] or 0))
end


---What the value function gets for map i besides it.
local others_of = {
  mask = function(what, map, mask)
    if not options.is_tensor(mask) or text(map) ~= text(mask) then
      blame(("%s: map is %s, mask is %s; a mask is a tensor as large as the map"
            ):format(what, text(map),
            options.is_tensor(mask) and text(mask) or types.told(mask)))
    end
    local object = mask:detach():gt(0.5)
    return function(i) return part(object, map, i) end
  end,
  map = function(what, map, other)
    if not options.is_tensor(other) or text(map) ~= text(other) then
      blame(("%s: maps of the same shape expected, got %s and %s"):format(what,
            text(map), options.is_tensor(other) and text(other) or types.told(other)))
    end
    return function(i) return part(other:detach(), map, i) end
  end,
  run = function(what, map, run, _, row)
    check_run(what, map, run)
    check_size(row, map, run)
    return function(i) return { run = run, i = i } end
  end,
  method = function(what, map, run, o, row)
    check_run(what, map, run)
    check_size(row, map, run)
    local made = again.new(what, map, run, o)
    return function(i) return { run = run, i = i, again = made } end
  end,
}


---Adds what the value function gave for map i to the lists.
local function collect(lists, i, number, ...)
  local more = select("#", ...) > 0 and { ... } or { number }
  for k, v in ipairs(more) do
    lists[k] = lists[k] or {}
    lists[k][i] = v
  end
  return number
end


---What scores and modifiers mean. A map says which classes it explains.
local function resolve(o, map, given)
  if o.score then
    local told = (given or {}).score == nil and stories.score_of(map)
    o.score = told or require("lunette.score").of(o.score)
  end
  if o.modifiers then
    o.modifiers = require("lunette.modifiers.named").list(o.modifiers)
  end
end


---Raises unless a value function gave a number: a metric of one's own may forget to.
local function number_of(row, number, ...)
  if type(number) == "number" then return number, ... end
  local advice = options.is_tensor(number) and "; :item() makes one of a single value"
  blame(("%s: its function `value` gave %s, a number is wanted%s"):format(row.name,
        types.told(number), advice or ""))
end


---@param map lunette.Tensor   (N,H,W) or (H,W)
---@param other any
---@param opts? table
---@return number mean, any[] values
function Metric.__call(row, map, other, opts)
  if not row.needs then
    if opts ~= nil then
      blame(row.name .. " takes maps and options: there is one argument more")
    end
    opts = other
  end
  check_map(row, map)
  local o = options.check(row.name, opts, row.options)
  resolve(o, map, opts)
  local get = row.needs and others_of[row.needs](row.name, map, other, o, row)
  map = map:detach()
  local n, sum, lists = map:dim() > 2 and map:dim(1) or 1, 0, {}
  for i = 1, n do
    sum = sum + collect(lists, i,
      number_of(row, row.value(part(map, map, i), get and get(i), o)))
  end
  return sum / n, table.unpack(lists)
end

return M
