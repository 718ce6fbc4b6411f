---What all methods share: a network and pictures, or a run; option tables; the
---story that a map carries.
local options = require "lunette.base.options"
local modifiers = require "lunette.explain.modifier"
local scores = require "lunette.explain.score"

local M = {}

---@class lunette.MethodOptions
---@field score? any          class id or name, "predicted" (default), a score ...
---@field modifiers? any[]    backward rules and "linear": names or modifiers (none)
---@field dialect? string     "tf-keras-vis" (default), "captum" ...; see the method
---@field raw? boolean        values as they come, not normalised (false)
---@field normalize? boolean  min-max per image (true)
---@field progress? boolean|function   false: no bar; or a function(done, total)

---Options that every method understands.
M.defaults = {
  score = "predicted", modifiers = {}, dialect = "tf-keras-vis",
  raw = false, normalize = true, progress = true,
}
M.dialects = { "tf-keras-vis", "captum", "pytorch-grad-cam" }


local function is_run(subject)
  return getmetatable(subject) == require("lunette.net.run").Run
end


---A score that is a function, or made of one, may look at any layer of the run.
local function looks_at_run(score)
  return type(score) == "function" or type(score) == "table" and score.fn ~= nil
end


---A run of the call's forward modifiers that keeps what is wanted.
local function new_run(net, x, opts, first)
  local forward, keep = {}, nil
  for _, m in ipairs(opts.modifiers) do
    if m.target then forward[#forward + 1] = m end
  end
  if first and not looks_at_run(opts.score) then keep = first(net, opts) end
  if keep == false then return require("lunette.net.run").outline(net, x, forward) end
  return net:run(x, { modifiers = forward, keep = keep or true })
end


---Splits (run, opts) from (net, x, opts); fills and checks the options.
---@param method string
---@param own table          the method's own options and defaults
---@param first? fun(net: lunette.Net, opts: table): string|false|nil   the first layer
---  whose value is wanted: a run that is made here drops those before it; false: no
---  value at all, an outline will do
---@return lunette.Run run, table opts, boolean made   made: ours to release
function M.prepare(method, own, subject, x, opts, first)
  if is_run(subject) then
    if opts == nil then opts = x end
  elseif getmetatable(subject) ~= require("lunette.net").Net then
    error(("%s: expected a network and its input, or a run"):format(method), 3)
  end
  local defaults = {}
  for key, value in pairs(M.defaults) do defaults[key] = value end
  for key, value in pairs(own) do defaults[key] = value end
  opts = options.check(method, opts, defaults, 4)
  options.choice(method .. ": dialect", opts.dialect, M.dialects, 4)
  opts.modifiers = modifiers.list(opts.modifiers)
  if is_run(subject) then return subject, opts, false end
  return new_run(subject, x, opts, first), opts, true
end


local function modifier_names(list)
  local names = {}
  for i, m in ipairs(list) do names[i] = m.name end
  return names
end


---How many nodes each modifier changed: the forward ones in the run, the backward
---ones in this call.
---@return table<string, integer>   empty where there are no modifiers
function M.changed_nodes(run, list)
  local _, changed = modifiers.rules(run, list)
  for name, n in pairs(run.changed) do changed[name] = n end
  return changed
end


---Attaches what is needed to make the map again.
---@param map lunette.Tensor
---@param method string
---@param run lunette.Run
---@param opts table
---@param more? table
function M.tell(map, method, run, opts, more)
  local build = require("lunette.core").build()
  local changed = opts.changed or M.changed_nodes(run, opts.modifiers)
  local story = {
    method = method, model = run.net.name, weights = run.net.path,
    weights_sha256 = run.net.meta.source_sha256,
    output = run.output_layer.name, dialect = opts.dialect,
    modifiers = modifier_names(opts.modifiers), raw = opts.raw or nil,
    changed_nodes = next(changed) and changed or nil,
    version = build.version, commit = build.commit, isa = build.isa,
    images = run.images.names,
  }
  if method ~= "activation" then -- which has no score
    local score = scores.of(opts.score)
    story.score, story.classes = score.name, scores.classes(score, run)
  end
  for key, value in pairs(more or {}) do story[key] = value end
  map.story = story
  return map
end


---Warns about maps that are the same everywhere, naming the likely cause, and
---about those that are no numbers.
---@param map lunette.Tensor             (N,...)
---@param method string
---@param cause fun(n: integer): string  why the map of image n may be flat
function M.warn_if_flat(map, method, cause)
  local warn = require "lunette.base.warn"
  for n = 1, map:dim(1) do
    local s = map[n]:stats()
    if not s.finite then
      warn(("%s: the map of image %d holds NaN or infinity"):format(method, n))
    elseif s.min == s.max then
      warn(("%s: the map of image %d is %g everywhere; %s"):format(method, n, s.min,
           cause(n)))
    end
  end
end

return M
