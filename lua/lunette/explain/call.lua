---A call of a method: a network and pictures, or a run; its options, checked, and what
---they name; the map, from raw values as the dialect finishes them; warnings.
local apply = require "lunette.modifiers.apply"
local blame = require "lunette.base.blame"
local forward = require "lunette.net.forward"
local given = require "lunette.explain.given"
local honest = require "lunette.explain.honest"
local named = require "lunette.modifiers.named"
local options = require "lunette.base.options"
local passes = require "lunette.net.passes"
local scores = require "lunette.score"
local several = require "lunette.explain.several"
local story = require "lunette.explain.story"
local told = require("lunette.base.types").told
local tokens = require "lunette.explain.tokens"
local witness = require "lunette.explain.witness"
local work = require "lunette.explain.work"

local M = {}


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


---The options of a call, filled, checked, and what they name found.
---@param row lunette.Method
---@param net lunette.Net
---@param opts? table
---@return table o   `given` is what the caller wrote
function M.options(row, net, opts)
  local o = options.check(row.name, opts, row.options)
  o.given = opts or {}
  resolve(row, net, o)
  return o
end


---Splits (run, opts) from (net, x, opts).
---@return lunette.Run run, table o, boolean made   made: ours to release
local function prepare(row, subject, x, opts)
  local net, ours = subject, true
  if is_run(subject) then
    net, ours = subject.net, false
    if x ~= nil and opts ~= nil then too_many(row) end
    if opts == nil then opts = x end
  elseif getmetatable(subject) ~= require("lunette.net").Net then
    blame(("%s: expected a network and its input, or a run, got %s%s"):format(row.name,
          told(subject), subject == nil and " (assert(lu.load ...) says why)" or ""))
  end
  if ours then forward.check_given(net, x, opts) end
  local o = M.options(row, net, opts)
  if not ours then return subject, o, false end
  return new_run(row, net, x, o), o, true
end


-- a call -------------------------------------------------------------------------


---Raises unless a method's function gave maps of its run's pictures: a method of one's
---own may forget to.
local function check_map(row, map, run, what)
  if not options.is_tensor(map) then
    blame(("%s: %s gave %s; a tensor (N,...) of the %d pictures is wanted"):format(
          row.name, what, told(map), run:count()))
  end
  local n = map:dim() > 1 and map:dim(1) or 0
  if n > 0 and n % run:count() == 0 then return end
  blame(("%s: %s gave %s; (N,H,W) is wanted, with N a picture each of %d"):format(
        row.name, what, told(map), run:count()))
end


---From raw values to the map, as the method and its dialect have it.
---@param row lunette.Method
---@param raw lunette.Tensor
---@param o table
---@param run lunette.Run
---@return lunette.Tensor map
function M.finish(row, raw, o, run)
  local finish = row.finish
  if type(finish) == "table" then finish = finish[o.dialect] end
  return finish and not o.raw and finish(raw, o, run) or raw
end


---The map of one score.
local function alone(row, run, o) return row.explain(run, o) end


---@param subject lunette.Net|lunette.Run   or what says itself, by `__explain` in its
---  metatable, what a method makes of it (a run that is written into a file)
---@param x lunette.Tensor|table   (N,C,H,W) for a network; options for a run
---@param opts? table
---@return lunette.Tensor map
function M.run(row, subject, x, opts, ...)
  if select("#", ...) > 0 then too_many(row) end
  local own = (getmetatable(subject) or {}).__explain
  if own then return own(subject, row, x) end
  local run, o, made = prepare(row, subject, x, opts)
  local _ <close> = made and run or nil
  given.check(row, run, o)
  o.scores = several.scores(row, run, o)
  local at_work <close> = work.open(run, row, o)
  local _ = at_work
  local remembered <close> = witness.open(run)
  local _ = remembered
  local before = passes.backwards
  local explain = o.scores and several.explain or alone
  local raw, facts = explain(row, run, o)
  check_map(row, raw, run, "its function `explain`")
  local map = M.finish(row, raw, o, run)
  if row.flat ~= false then
    local slopes = passes.backwards > before and not row.slopeless
    honest.warn(row, map, raw, o, run, slopes)
  end
  return story.tell(row, map, run, o, facts or {})
end

return M
