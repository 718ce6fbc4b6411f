---What a method is: a row that says its options, what it draws and what it keeps, and
---one function. What a call of it does is in call.lua, what its map tells in story.lua.
---
---  return method {
---    name = "input_x_gradient", draws = "map",
---    options = { "score", "modifiers" },
---    explain = function(run, o)
---      local g = run:gradient { score = o.score, modifiers = o.modifiers }
---      return run.images * g
---    end,
---  }
local blame = require "lunette.base.blame"
local opt = require("lunette.base.options").opt
local rows = require "lunette.base.rows"
local shared = require "lunette.explain.shared"
local strict = require "lunette.base.strict"
local types = require "lunette.base.types"

local M = {}

---@class lunette.Method
---@field name string
---@field draws "overlay"|"map"|"channels"|"numbers"|"picture"   (N,H,W) laid over the
---  picture; a map of its own, channels summed; a tile a channel; (N,K), a number a
---  channel and no map; a photograph
---@field options table   name -> option; entries without a key name shared options
---@field family? string      of M.families
---@field explain fun(run: lunette.Run, o: table): lunette.Tensor, table?   the signed
---  values, and facts for the story (false: leave that key out)
---@field finish? function|table<string, function>   from raw values to the map:
---  f(raw, o, run), or one a dialect
---@field keeps? fun(net: lunette.Net, o: table): lunette.Layer|false|nil   the first
---  layer whose value is wanted; nil: all are; false: none, copies are run
---@field paper? string
---@field flat? string|false|fun(run: lunette.Run, o: table): string?   why a map may be
---  the same everywhere; false: no warning
---@field within? fun(o: table, net: lunette.Net): lunette.Method, table   of a method
---  around another one: that, and its options
---@field slopeless? boolean  what it hands back is no slope: a saturated softmax hides
---  nothing from it
---@field measured? boolean  stands in the table of truth
---@field walks_to_layer? boolean  its gradients go back to `layer` and no further, so
---  that only rules after it count
---@field traced? fun(run: lunette.TracedRun, o: table): lunette.Traced   instead of
---  explain where the map is baked into a file (lu.bake)
---@field flags? table<string, string>  names on the command line, where shorter
---@field dialects string[]  those that it has, the default first
---@field file? string       where it was written, of those of the library
local Method = strict.class("method", {})
Method.__index = Method
Method.__name = "lunette.Method"


---What help says of a call.
Method.signature = {
  args = "(net, x, opts)",
  params = {
    { name = "net", type = "lunette.Net|lunette.Run", text = "or a run, then no x" },
    { name = "x", type = "lunette.Tensor", text = "(N,C,H,W) of net:images" },
    { name = "opts", type = "table", text = "", optional = true },
  },
  returns = { { type = "lunette.Tensor", text = "map, with its story" } },
}


function Method.__tostring(row) return "method " .. row.name end


---@param subject lunette.Net|lunette.Run
---@param x lunette.Tensor|table   (N,C,H,W) for a network; options for a run
---@param opts? table
---@return lunette.Tensor map
function Method.__call(row, subject, x, opts, ...)
  return require("lunette.explain.call").run(row, subject, x, opts, ...)
end


---What methods look at, in the order in which listings have them.
M.families = { "gradient", "path", "cam", "attention", "perturbation", "layer",
               "relevance" }


local function add(to, more)
  for key, option in pairs(more) do to[key] = option end
end


---Options by name: named shared ones, those that come with them, and the row's own.
local function expand(row)
  local full = {}
  for key, value in pairs(row.options or {}) do
    if math.type(key) == "integer" then
      full[value] = shared.named[value]
        or blame(("method '%s': no shared option '%s'"):format(row.name, value))
    else
      full[key] = value
    end
  end
  if full.score then add(full, shared.several) end
  if full.score and full.progress then add(full, shared.work) end
  return full
end


---The dialects of a row, tf-keras-vis first, where it has that.
local function dialects_of(row)
  local list = {}
  if type(row.finish) ~= "table" then return list end
  for name in pairs(row.finish) do list[#list + 1] = name end
  table.sort(list, function(a, b)
    local first = row.dialect or "tf-keras-vis"
    if (a == first) ~= (b == first) then return a == first end
    return a < b
  end)
  return list
end


local drawn = { overlay = true, map = true, channels = true, numbers = true,
                picture = true }


---What a row of a method lacks, or nil.
local function lacking(spec)
  local wrong = rows.lacking(spec, "explain", "function(run, o)")
  if wrong then return wrong end
  if drawn[spec.draws] then return nil end
  return "draws is missing, or none of these: it is " .. types.told(spec.draws)
end


local function check_row(spec)
  local wrong = lacking(spec)
  if wrong then
    blame(("method: %s; expected { name =, draws = \"overlay\"|\"map\"|\"channels\"|"
          .. "\"numbers\"|\"picture\", options =, explain = function }"):format(wrong))
  end
end


---A method of one's own: a row that is called as `lu.gradcam` is.
---Example:
---  local net = lu.load "glyphs"
---  local images = net:images(lu.glyphs.default_images(1).images)
---  local brightness = lu.method { name = "brightness", draws = "overlay",
---    explain = function(run) return run.images:mean { dims = { 2 } } end }
---  show(brightness(net, images))
---@param spec table   see docs/extending.md
---@return lunette.Method
function M.new(spec)
  check_row(spec)
  local row = {}
  for key, value in pairs(spec) do row[key] = value end
  row.options = expand(row)
  row.dialects = dialects_of(row)
  if #row.dialects > 0 then
    row.options.dialect = opt.choice(row.dialects[1], row.dialects,
                                     "whose numbers; what differs is said above")
  end
  if row.finish then
    row.options.raw = opt.flag(false, "signed values as they come, not finished")
  end
  return setmetatable(row, Method)
end

return M
