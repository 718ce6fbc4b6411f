---Modifiers: what is different in this explanation. A forward modifier chooses
---which layer is scored (`linear`, `extract`); a backward modifier gives nodes
---another backward rule. Both are arguments of a call: nothing is cloned and
---nothing stays behind. Each counts the nodes it changed; zero is an error.
local options = require "lunette.base.options"
local suggest = require "lunette.base.suggest"

local M = {}

---@class lunette.Modifier
---@field name string
---@field on? string|string[]   operator kind or layer names (backward)
---@field rule? string|table|function   core rule, {rule, parameter}, or Lua function
---@field target? fun(net: lunette.Net, layer: lunette.Layer): lunette.Layer
local Modifier = {}
Modifier.__index = Modifier
Modifier.__name = "lunette.Modifier"


function Modifier.__tostring(m) return "modifier " .. m.name end


local function make(fields) return setmetatable(fields, Modifier) end


---What a backward rule may be: a name of the operator's, { name, parameter }, or Lua.
local is_rule = { string = true, table = true, ["function"] = true }


---A modifier of one's own. `backward(node, dy)` gets the node (name, kind, input,
---output, weight, bias, attrs, input_shape, node:backward(dy[, rule])) and the
---gradient of its output, and returns the gradient of its input. Instead of a
---function: a rule of the operator, "guided" or { "leak", 0.1 }.
---Caveat: such a rule is no gradient; check it as docs/modifiers.md does.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  local squash = lu.modifier { name = "squash", on = "relu",
---    backward = function(node, dy) return dy:clamp(0, 1e-3) * node.output:gt(0) end }
---  show(lu.saliency(run, { modifiers = { squash } }))
---@param spec { name: string, on: string|string[], backward: function|string }
---@return lunette.Modifier
function M.new(spec)
  local given = type(spec) == "table" and spec or {}
  local on = given.on
  local names = type(on) == "string" or type(on) == "table" and #on > 0
  if not names or not is_rule[type(given.backward)] then
    error("modifier: expected { name =, on = kind or layer, backward = function }", 2)
  end
  return make { name = spec.name or "modifier", on = spec.on, rule = spec.backward }
end


---Scores what comes before the last softmax (tf-keras-vis' ReplaceToLinear).
M.linear = make {
  name = "linear",
  target = function(net, layer)
    if layer.kind ~= "softmax" and layer.kind ~= "log_softmax"
       and layer.kind ~= "sigmoid" then
      return nil
    end
    return (net:layer(layer.from[1]))
  end,
}


---Scores a layer instead of the output (tf-keras-vis' ExtractIntermediateLayer).
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  local score = function(output) return output:mean { dims = { 2, 3, 4 } } end
---  local middle = lu.extract "block3_conv3"
---  show(lu.saliency(run, { score = score, modifiers = { middle } }))
---@param name string   a layer; a convolution's name means its activated output
---@return lunette.Modifier
function M.extract(name)
  if type(name) ~= "string" then
    error("extract: expected a layer's name, got " .. type(name), 2)
  end
  return make {
    name = "extract(" .. name .. ")",
    target = function(net)
      local layer, message = net:activated(name)
      if not layer then error(message, 0) end
      return layer
    end,
  }
end


---The true gradient; says so in captions.
M.vanilla = make { name = "vanilla" }

---Guided backpropagation (Springenberg et al. 2014): dx = dy [dy>0] [x>0].
---Caveat: nearly blind to the class (Adebayo et al. 2018): cleaner is not truer.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.saliency(run, { modifiers = { "linear", "guided" } }))
M.guided = make { name = "guided", on = "relu", rule = "guided" }

---Zeiler & Fergus' deconvnet (2013): dx = dy [dy>0], gates open.
---Caveat: shows what the picture's edges are more than what the class is.
M.deconvnet = make { name = "deconvnet", on = "relu", rule = "deconvnet" }


---Units that relu made zero let the gradient through too: dx = dy [dy>0]
---(the lab report's modifier, keras-vis' `rectified`). Called with { leak = e }:
---dx = dy where x>0, e*dy elsewhere, no sign gate.
---Caveat: silent units speak too, so that more than the evidence lights up.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.saliency(run, { modifiers = { "linear", "rectified" } }))
M.rectified = make { name = "rectified", on = "relu", rule = "rectified" }
Modifier.__call = function(m, opts)
  if m ~= M.rectified then
    error(("modifier '%s' takes no parameters"):format(m.name), 2)
  end
  local leak = type(opts) == "table" and tonumber(opts.leak)
  if not leak then
    error("modifier 'rectified': expected rectified { leak = number }", 2)
  end
  return make { name = ("rectified(leak=%g)"):format(leak), on = "relu",
                rule = { "leak", leak } }
end


---dx = dy * sigmoid(beta * x): relu as softplus would send it back (zennit).
---@param beta? number   10
---@return lunette.Modifier
function M.beta_smooth(beta)
  return make { name = "beta_smooth", on = "relu",
                rule = { "beta_smooth", beta or 10 } }
end


---Names for command lines: "guided", "rectified:leak=0.1", "extract:fc1".
local named = { "linear", "vanilla", "guided", "rectified", "deconvnet",
                "beta_smooth", "extract" }


---Those that take a parameter behind a colon.
local with_parameter = {
  extract = function(argument)
    return argument ~= "" and M.extract(argument) or nil
  end,
  rectified = function(argument)
    if argument == "" then return M.rectified end
    local leak = tonumber(argument:match "^leak=(.+)$")
    return leak and M.rectified { leak = leak }
  end,
  beta_smooth = function(argument)
    if argument == "" then return M.beta_smooth() end
    local beta = tonumber(argument:match "^beta=(.+)$" or argument)
    return beta and M.beta_smooth(beta)
  end,
}


local function from_text(what)
  local name, argument = what:match "^([%w_]+):?(.*)$"
  local m
  if with_parameter[name] then
    m = with_parameter[name](argument)
  elseif argument == "" then
    m = M[name]
  end
  if getmetatable(m) ~= Modifier then
    error(("modifier '%s' not found%s (there are: %s; rectified:leak=0.1, "
          .. "beta_smooth:10, extract:LAYER)"):format(what,
          suggest.after(name or what, named), table.concat(named, ", ")), 0)
  end
  return m
end


---The modifier that a name stands for: "guided", "rectified:leak=0.1", "extract:fc1".
---@param what string|lunette.Modifier
---@return lunette.Modifier
function M.of(what)
  if getmetatable(what) == Modifier then return what end
  if type(what) == "string" then return from_text(what) end
  error(("modifier: expected a name or a modifier, got %s"):format(type(what)), 0)
end


---A list of modifiers from what scripts write: a list, or a single one.
---@param what string|lunette.Modifier|(string|lunette.Modifier)[]
---@return lunette.Modifier[]
function M.list(what)
  if type(what) ~= "table" or getmetatable(what) == Modifier then what = { what } end
  local list = {}
  for i, m in ipairs(what) do list[i] = M.of(m) end
  if #list == 0 and next(what) ~= nil then
    error("modifiers are a list: { \"linear\", \"guided\" }", 0)
  end
  return list
end


---Where the scored layer ends up under the forward modifiers in `list`.
---@param net lunette.Net
---@param layer lunette.Layer   the last layer
---@param list any[]
---@param run? lunette.Run      a run already made: its own modifiers are in `layer`
---@return lunette.Layer layer, table<string, integer> changed
function M.target(net, layer, list, run)
  local changed = {}
  for _, m in ipairs(M.list(list)) do
    if m.target then
      local found = m.target(net, layer)
      if not found and not (run and run.changed[m.name]) then
        error(("modifier '%s' changed nothing: the output '%s' of %s is %s, "
              .. "no softmax"):format(m.name, layer.name, net.name, layer.kind), 0)
      end
      layer = found or layer
      changed[m.name] = 1
    elseif not run and m.rule then
      error(("modifier '%s' is about backward: give it to the method or "
             .. "gradient, not to run"):format(m.name), 0)
    end
  end
  return layer, changed
end


---Kinds that `on = "relu"` stands for: every unit with a rule of that name.
local relu_family = { relu = true, leaky_relu = true, relu6 = true, elu = true,
                      silu = true, gelu = true, softplus = true }


local function match(m, on, node)
  if node.layer.name == on or node.layer.kind == on then return true end
  return on == "relu" and type(m.rule) ~= "function" and relu_family[node.layer.kind]
end


local function explain_nothing(run, on)
  local layer = run.net:layer(on)
  if layer then
    return ("layer '%s' is not part of this backward pass"):format(on)
  end
  local known = {}
  for _, l in ipairs(run.net:layers()) do
    known[#known + 1] = l.name
    known[#known + 1] = l.kind
  end
  return ("there is no layer or kind '%s' in %s%s"):format(on, run.net.name,
         suggest.after(on, known))
end


---Raises when a rule's answer is no gradient of the input. Layers of several
---inputs may be answered by a list of gradients, whose shapes the engine checks.
local function check_answer(layer, node, dx)
  if type(dx) == "table" and #layer.from > 1 and #dx == #layer.from then return end
  if not options.is_tensor(dx) then
    error(("returned %s, expected a tensor: the gradient of its input"):format(
          type(dx)), 0)
  end
  local got, want = dx:shape(), node.input_shape
  local a, b = table.concat(got, ", "), table.concat(want, ", ")
  if a ~= b then
    error(("returned a gradient of shape (%s), the input is (%s)"):format(a, b), 0)
  end
end


---Lua rules get their name and layer into errors; an interruption stays one.
local function guarded(m, layer)
  return function(node, dy)
    local ok, dx = pcall(function()
      local answer = m.rule(node, dy)
      check_answer(layer, node, answer)
      return answer
    end)
    if ok then return dx end
    if tostring(dx):find("interrupted", 1, true) then error(dx, 0) end
    error(("modifier '%s' at layer '%s' (%s): %s"):format(m.name, layer.name,
          layer.kind, tostring(dx)), 0)
  end
end


---Gives the nodes that `on` means the rule of `m`; returns how many.
local function mark(run, m, on, nodes, rules)
  local n, exact = 0, run.net:has(on) and run.net:layer(on)
  for _, node in ipairs(nodes) do
    if match(m, exact and exact.name or on, node) then
      rules[node.id] = type(m.rule) == "function" and guarded(m, node.layer)
        or m.rule
      n = n + 1
    end
  end
  if n > 0 then return n end
  error(("modifier '%s' changed no node: %s"):format(m.name,
        explain_nothing(run, on)), 0)
end


---The rule of every node that the backward modifiers in `list` change.
---@param run lunette.Run
---@param list any[]
---@param last? integer   id of the scored node: backward passes no later ones
---@return table<integer, any> rules, table<string, integer> changed
function M.rules(run, list, last)
  local rules, changed, nodes = {}, {}, {}
  for _, node in ipairs(run:nodes()) do
    if not last or node.id <= last then nodes[#nodes + 1] = node end
  end
  for _, m in ipairs(M.list(list)) do
    for _, on in ipairs(type(m.on) == "table" and m.on or { m.on }) do
      changed[m.name] = (changed[m.name] or 0) + mark(run, m, on, nodes, rules)
    end
  end
  return rules, changed
end

return M
