---What a method is: a row that says its options, what it draws and what it keeps, and
---one function. What all methods share is here: a network and pictures or a run;
---options and their checks; dialects; warnings. (What a map tells: story.lua.)
---
---  return method {
---    name = "input_x_gradient", draws = "map",
---    options = { "score", "modifiers" },
---    explain = function(run, o)
---      local g = run:gradient { score = o.score, modifiers = o.modifiers }
---      return run.images * g
---    end,
---  }
local apply = require "lunette.modifiers.apply"
local blame = require "lunette.base.blame"
local forward = require "lunette.net.forward"
local given = require "lunette.explain.given"
local named = require "lunette.modifiers.named"
local options = require "lunette.base.options"
local scores = require "lunette.score"
local several = require "lunette.explain.several"
local story = require "lunette.explain.story"
local tokens = require "lunette.explain.tokens"
local traced = require "lunette.explain.traced"
local work = require "lunette.explain.work"
local opt = options.opt

local M = {}

---@class lunette.Method
---@field name string
---@field draws "overlay"|"map"|"channels"|"picture"   (N,H,W) laid over the picture; a
---  map of its own, channels summed; a tile a channel; a photograph
---@field options table   name -> option; entries without a key name shared options
---@field family? string      of M.families
---@field explain fun(run: lunette.Run, o: table): lunette.Tensor, table?   the signed
---  values, and facts for the story (false: leave that key out)
---@field finish? function|table<string, function>   from raw values to the map:
---  f(raw, o, run), or one a dialect
---@field keeps? fun(net: lunette.Net, o: table): lunette.Layer|false|nil   the first
---  layer whose value is wanted; nil: all are; false: none, copies are run
---@field paper? string
---@field flat? string|false  why a map may be the same everywhere; false: no warning
---@field measured? boolean  stands in the table of truth
---@field walks_to_layer? boolean  its gradients go back to `layer` and no further, so
---  that only rules after it count
---@field traced? fun(run: lunette.TracedRun, o: table): lunette.Traced   instead of
---  explain where the map is baked into a file (lu.bake)
---@field flags? table<string, string>  names on the command line, where shorter
---@field dialects string[]  those that it has, the default first
---@field file? string       where it was written, of those of the library
local Method = {}
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


-- rows ---------------------------------------------------------------------------


---What methods look at, in the order in which listings have them.
M.families = { "gradient", "path", "cam", "attention", "perturbation", "layer",
               "relevance" }


---Options that many methods have, by name.
M.shared = {
  score = opt.score("predicted", "class id or name, predicted, or a score"),
  modifiers = opt.any({}, "backward rules and linear: names or modifiers", function(v)
    return v == false and "a list of names or modifiers" or nil
  end),
  normalize = opt.flag(true, "min-max per image"),
  progress = opt.quiet(opt.any(true, "false: no bar; or a function(done, total)")),
  batch = opt.quiet(opt.count(8, "copies at a time")),
  seed = opt.count(0, "of the random numbers", math.mininteger),
}


local function add(to, more)
  for key, option in pairs(more) do to[key] = option end
end


---Options by name: named shared ones, those that come with them, and the row's own.
local function expand(row)
  local full = {}
  for key, value in pairs(row.options or {}) do
    if math.type(key) == "integer" then
      full[value] = M.shared[value]
        or blame(("method '%s': no shared option '%s'"):format(row.name, value))
    else
      full[key] = value
    end
  end
  if full.score then add(full, several.options) end
  if full.score and full.progress then
    add(full, work.options)
  end
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


local drawn = { overlay = true, map = true, channels = true, picture = true }


local function check_row(spec)
  if type(spec) ~= "table" or type(spec.name) ~= "string"
     or type(spec.explain) ~= "function" or not drawn[spec.draws] then
    blame("method: expected { name =, draws = \"overlay\"|\"map\"|\"channels\"|"
          .. "\"picture\", options =, explain = function }")
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


-- what a call is about -----------------------------------------------------------


local function is_run(subject)
  return getmetatable(subject) == require("lunette.net.run").Run
end


---The default of `layer`: the last map; of a Vision Transformer the tokens that its
---last attention reads, since behind it the score depends on the class token alone.
---Where the caller names the dialect tf-keras-vis, the last convolution, as that
---program has it.
local function default_layer(net, o)
  local attentions = tokens.attentions(net)
  if #attentions > 0 then return attentions[#attentions].tokens end
  if o.given.dialect == "tf-keras-vis" then return net:last_conv() end
  return net:last_map()
end


---The layer that an option names, activated; raises for one that will not do.
---@param row lunette.Method
---@param net lunette.Net
---@param name string|false
---@param option lunette.Option
---@param o table
---@return lunette.Layer
local function find_layer(row, net, name, option, o)
  local layer, message
  if name and name ~= "last" then
    layer, message = net:activated(name)
    if not layer then blame(row.name .. ": " .. message) end
  else
    layer = default_layer(net, o)
    if not layer then
      blame(("%s: %s has no convolution nor another map; give a layer"):format(row.name,
            net.name))
    end
  end
  if not option.spatial or tokens.grid_of(net, layer) then return layer end
  if #layer.shape ~= 3 or layer.shape[2] * layer.shape[3] == 1 then
    blame(("%s: layer '%s' has shape (%s), no height and width; choose a "
           .. "convolution, for example '%s'"):format(row.name, layer.name,
          table.concat(layer.shape, ","), (net:last_map() or {}).name or "?"))
  end
  return layer
end


---Names become what they mean: layers, scores, modifiers.
local function resolve(row, net, o)
  for key, option in pairs(row.options) do
    local value = o[key]
    if option.type == "layer" and (value or option.default) then
      if type(value) == "table" then
        local list = {}
        for i, name in ipairs(value) do
          list[i] = find_layer(row, net, name, option, o)
        end
        o[key] = list
      else
        o[key] = find_layer(row, net, value, option, o)
      end
    elseif option.type == "score" and value ~= nil then
      o[key] = scores.of(value)
    end
  end
  o.modifiers = o.modifiers and named.list(o.modifiers)
end


---A score that is a function, or made of one, may look at any layer of the run.
local function looks_at_run(score)
  return type(score) == "table" and score.fn ~= nil and not score.classes
end


---A run of the call's forward modifiers that keeps what is wanted.
local function new_run(row, net, x, o)
  local chosen, keep = apply.forward(o.modifiers), nil
  if row.keeps and not looks_at_run(o.score) then keep = row.keeps(net, o) end
  if keep == false then return require("lunette.net.run").outline(net, x, chosen) end
  return net:run(x, { modifiers = chosen, keep = keep and keep.name or true })
end


local function too_many(row)
  blame(("%s takes a network, its input and options, or a run and options: there is "
         .. "one argument more"):format(row.name))
end


---Splits (run, opts) from (net, x, opts); fills and checks the options.
---@return lunette.Run run, table o, boolean made   made: ours to release
local function prepare(row, subject, x, opts)
  local net, ours = subject, true
  if is_run(subject) then
    net, ours = subject.net, false
    if x ~= nil and opts ~= nil then too_many(row) end
    if opts == nil then opts = x end
  elseif getmetatable(subject) ~= require("lunette.net").Net then
    blame(("%s: expected a network and its input, or a run, got %s%s"):format(row.name,
          type(subject), subject == nil and " (assert(lu.load ...) says why)" or ""))
  end
  if ours then forward.check_given(net, x, opts) end
  local o = options.check(row.name, opts, row.options)
  o.given = opts or {}
  resolve(row, net, o)
  if not ours then return subject, o, false end
  return new_run(row, net, x, o), o, true
end


-- a call -------------------------------------------------------------------------


---Why the map of an image is the same everywhere.
local function why_flat(row, raw, o, run, image)
  local s = raw:stats()
  if s.min == 0 and s.max == 0 and row.options.modifiers and not o.scores then
    local why = require("lunette.explain.dead")(run, o, image)
    if why then return why end
  end
  if s.min ~= s.max then
    return ("before %s it lies between %.3g and %.3g; use raw = true to see it"):format(
      o.relu and "relu" or "it was finished", s.min, s.max)
  end
  if row.flat then return row.flat end
  return "no gradient reaches " .. (o.layer and story.told(o.layer) or "the picture")
end


---Warns about maps that are the same everywhere, naming the likely cause, and about
---those that are no numbers.
local function warn_if_flat(row, map, raw, o, run)
  local warn = require "lunette.base.warn"
  for n = 1, map:dim(1) do
    local s, image = map:rows(n):stats(), (n - 1) % run:count() + 1
    if not s.finite or not raw:rows(n):stats().finite then
      warn(("%s: the map of image %d holds NaN or infinity"):format(row.name,
           image))
    elseif s.min == s.max then
      warn(("%s: the map of image %d is %g everywhere; %s"):format(row.name, image,
           s.min + 0.0, -- which makes -0 a plain 0
           why_flat(row, raw:rows(n), o, run, image)))
    end
  end
end


---The map of a run on tracing tensors (lunette.onnx.run), as operators; no story.
---@param run lunette.TracedRun
---@param opts? table
---@return lunette.Traced map
function Method:trace(run, opts) return traced(self, run, opts, resolve) end


---@param subject lunette.Net|lunette.Run
---@param x lunette.Tensor|table   (N,C,H,W) for a network; options for a run
---@param opts? table
---@return lunette.Tensor map
function Method.__call(row, subject, x, opts, ...)
  if select("#", ...) > 0 then too_many(row) end
  if type(subject) == "table" and subject.traced then return row:trace(subject, x) end
  local run, o, made = prepare(row, subject, x, opts)
  local _ <close> = made and run or nil
  given.check(row, run, o)
  o.scores = several.scores(row, run, o)
  local at_work <close> = work.open(run, row, o)
  local _ = at_work
  local raw, facts
  if o.scores then
    raw, facts = several.explain(row, run, o)
  else
    raw, facts = row.explain(run, o)
  end
  local map, finish = raw, row.finish
  if type(finish) == "table" then finish = finish[o.dialect] end
  if finish and not o.raw then map = finish(raw, o, run) end
  if row.flat ~= false then warn_if_flat(row, map, raw, o, run) end
  return story.tell(row, map, run, o, facts or {})
end

return M
