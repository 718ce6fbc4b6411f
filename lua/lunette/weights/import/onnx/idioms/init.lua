---What exporters write in pieces becomes the one layer that it is, where the numbers
---stay the same: fewer passes over memory, one place for a backward rule, and networks
---in which methods find what they look for. Every idiom is a row: a name, and a
---function that says of a layer what it and some before it come to. A layer that
---somebody else reads, or that is an output, is never folded away.
---
---  local idioms = require "lunette.weights.import.onnx.idioms"
---  idioms.fold(b, outputs)
local Graph = require "lunette.weights.import.onnx.idioms.graph"
local views = require "lunette.weights.import.onnx.idioms.views"

local M = {}

local function of(name)
  return require("lunette.weights.import.onnx.idioms." .. name)
end

---@class lunette.onnx.Idiom
---@field name string
---@field match fun(g: table, spec: table): table?   what Graph:replace takes
---@field what string   the pieces
---@field late? boolean  when all others were tried: its piece may be one of theirs

---In the order in which they are tried.
---@type lunette.onnx.Idiom[]
M.rows = {
  { name = "views", match = views.pair, what = "a view of a view" },
  { name = "flatten", match = views.flatten, what = "a shape of one dimension" },
  { name = "renamed", match = views.renamed, what = "an output's second name" },
  { name = "padding", match = of "padding",
    what = "a border of zeros before a convolution or pooling" },
  { name = "activation", match = of "activations",
    what = "gelu (erf, tanh), silu, hard swish, hard sigmoid" },
  { name = "layer_norm", match = of "layer_norm",
    what = "mean, difference, square, mean, root, quotient, scale, shift" },
  { name = "softmax", match = of "softmax",
    what = "exp, sum, quotient; a maximum subtracted" },
  { name = "bias", match = of "bias", what = "a sum behind a layer without bias" },
  { name = "batch_norm", match = of "batch_norm",
    what = "a number a channel subtracted, then multiplied by" },
  { name = "global_pool", match = views.global_pool, late = true,
    what = "the mean of every whole map" },
}


---Does some row fold this layer?
local function folded(g, spec, late, without)
  for _, row in ipairs(M.rows) do
    local tried = (row.late or false) == late and not without[row.name]
    local made = tried and row.match(g, spec)
    if made then
      g:replace(spec, made)
      return true
    end
  end
  return false
end


---Folds what is found, in order; a layer that became another is looked at again.
---@param b table             of onnx.build, all nodes read
---@param outputs string[]    layers that are outputs
---@param without? table<string, boolean>   rows that are left out; `all`
function M.fold(b, outputs, without)
  without = without or {}
  if without.all then return end
  local g = Graph.new(b, outputs)
  for _, late in ipairs { false, true } do
    for _, spec in ipairs(b.specs) do
      while not g.gone[spec] and folded(g, spec, late, without) do end
      if not g.gone[spec] and not without.views and views.nothing(g, spec) then
        g:bypass(spec)
      end
    end
  end
  g:finish()
end

return M
