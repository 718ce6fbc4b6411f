---Lunette: explanations of convolutional networks. `local lu = require "lunette"`.
---The parts are loaded when they are first used.
if _VERSION ~= "Lua 5.4" then
  error("lunette needs Lua 5.4, this is " .. _VERSION .. "; run it with lua5.4", 0)
end

---@class lunette
local lu = { _NAME = "lunette" }


---name -> function that gives its value
local lazy = {}

---name -> the module that it is, for the reference
local home = {}

local function from(module, key)
  local get = function()
    local m = require("lunette." .. module)
    if key then return m[key] end
    return m
  end
  if not key then home[get] = "lunette." .. module end
  return get
end

---A part that asks for methods by name: they stand above it and are loaded first.
local function knowing_methods(module, key)
  local get = from(module, key)
  local function after() return lu.methods and get() end
  home[after] = home[get]
  return after
end

-- networks
lazy.load = from("weights.load", "load")
lazy.save = function() return require "lunette.weights.save" end
lazy.export = from("onnx.export", "export")
lazy.bake = from("onnx.bake", "bake")
lazy.net = function()
  local new = require("lunette.net").new
  ---Builds a network from a table of layers.
  ---Example:
  ---  local net = lu.net { input = { 1, 8, 8 }, layers = {
  ---    { "conv1", "conv2d", filters = 4, kernel = 3 }, { "relu1", "relu" } } }
  ---  print(net:init(1))
  ---@param arch table         { name =, input = {C,H,W}, layers = {...} }
  ---@param weights? string    a .safetensors file with its parameters
  ---@return lunette.Net? net, string? message
  return function(arch, weights)
    local net, message = new(arch)
    if not net or not weights then return net, message end
    return require("lunette.weights.load").file(weights, net)
  end
end
lazy.models = from "models"
lazy.labels = from "score.labels"
lazy.train = from "train"
-- what is explained, and how
lazy.score = from "score"
lazy.modifiers = from "modifiers"
lazy.modifier = from("modifiers", "new")
lazy.extract = from("modifiers", "extract")
lazy.concepts = from "explain.concepts"
lazy.relevance = from "explain.relevance"
lazy.metrics = from "metrics"
lazy.metric = knowing_methods("explain.metric", "new")
lazy.control = from("explain.controls", "control")
lazy.tcav = from("explain.tcav", "tcav")
lazy.spray = from("explain.spray", "spray")
lazy.glyphs = from "glyphs"
lazy.features = from "features"
lazy.activation_maximization = from("features.activation_maximization", "run")
-- pictures
lazy.image = from "picture.image"
lazy.canvas = from "picture.canvas"
lazy.attack = from "attack"
lazy.audit = from("audit", "run")
lazy.trust = from("trust", "of")
lazy.rank = from("rank", "run")
lazy.choose = from("rank.choose", "choose")
lazy.report = from("report", "report")
lazy.notebook = from("report.notebook", "new")
lazy.mosaic = function() return require "lunette.picture.mosaic" end
lazy.colormap = from "picture.colormap"
lazy.npy = from "picture.npy"
lazy.show = from("picture.show", "show")
lazy.show_into = from("picture.show", "into")
lazy.progress = from("base.progress", "start")
-- the command line
lazy.cli = from("commands.cli", "options")
lazy.version = from("base.version", "text")
lazy.core = from "core"
for _, name in ipairs { "tensor", "zeros", "ones", "full", "range",
                        "memory", "memory_limit", "threads" } do
  lazy[name] = function() return require("lunette.core")[name] end
end

for _, name in ipairs { "normal", "uniform", "normal_like", "uniform_like" } do
  lazy[name] = from("base.random", name)
end

for name, file in pairs(require("lunette.tensors").functions) do
  lazy[name] = from("tensors." .. file, name)
end

lazy.methods = from "methods"
lazy.method = from("explain.method", "new")
lazy.channels = knowing_methods "explain.channels"
lazy.cost = knowing_methods("explain.cost", "of")
lazy.gradient = from "base.gradient"
lazy.opt = from("base.options", "opt")

lazy.warn = function()
  ---Warnings go through this function; replace it to collect them.
  ---@param message string
  return function(message) require "lunette.base.warn"(message) end
end


local methods = require("lunette.core").methods

---Checks of maps that a method made, in words, worst first: does another class give
---another map, do other weights, do its pixels matter more than the same shape
---elsewhere, is it steady, does it add up? The method is called some ten times again.
---Caveat: a map that passes is not right by that.
---Example:
---  local net = lu.load "glyphs"
---  local map = lu.gradcam(net, net:images(lu.glyphs.default_images(1).images))
---  print(map:trust { classes = 2, shifts = 2 })
---@param run? lunette.Run|table   of the pictures, where the map does not know them; or
---  the options
---@param opts? table        classes, shifts, steps, samples, full, seed, batch; method,
---  with, score for a map that does not say what made it
---@return lunette.Trust     printed, or :lines(i)
function methods.trust(map, run, opts)
  return require("lunette.trust").of(map, run, opts)
end


---A part of the library as it is handed out: its functions count their arguments.
local function public(name, value)
  local strict = require "lunette.base.strict"
  if type(value) ~= "table" then return strict.of(name, value) end
  return strict.module(name, value)
end


setmetatable(lu, {
  __index = function(t, key)
    local get = lazy[key]
    local value
    if get then value = public("lu." .. key, get()) else value = t.methods[key] end
    if value == nil then return nil end
    rawset(t, key, value)
    return value
  end,
  __newindex = function(t, key, value)
    if key == "warn" then require("lunette.base.warn").sink = value end
    rawset(t, key, value)
  end,
})

---Names that the library exports (for completion and the reference).
---@return string[]
function lu.names()
  local list = {}
  for name in pairs(lazy) do list[#list + 1] = name end
  for _, name in ipairs(require("lunette.base.rows").names(lu.methods)) do
    list[#list + 1] = name
  end
  table.sort(list)
  return list
end

---The module that `lu[name]` is: "lunette.score" for "score".
---@param name string
---@return string?
function lu.module_of(name) return home[lazy[name]] end

require("lunette.base.strict").module("lu", lu)

return lu
