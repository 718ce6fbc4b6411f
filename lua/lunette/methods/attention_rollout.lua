local core = require "lunette.core"
local method = require("lunette.explain.method").new
local opt = require("lunette.base.options").opt
local tokens = require "lunette.explain.tokens"

---What becomes of the heads' weights (N,heads,T,T).
local fusions = {
  mean = function(A) return A:mean { dims = { 2 } } end,
  max = function(A) return A:max { dims = { 2 } } end,
  min = function(A) return A:min { dims = { 2 } } end,
}


---Attention rollout (Abnar & Zuidema 2020): how much of every patch reaches the class
---token when the attention of all layers is followed one into the other, half of every
---token passing by on the residual way: the product of (A + I) / 2, rows made to sum
---to 1. Raw it is (N,h,w) of the patches.
---Caveat: it knows no class: the map of a run is the same whatever is asked; see
---  lu.gradient_rollout and lu.legrad.
---Example:
---  local net = assert(lu.net(lu.models.vit_b_32 { side = 64, depth = 2, width = 24,
---    inner = 48, heads = 2, classes = 10 })):init(1)
---  show(lu.attention_rollout(net, lu.core.normal(1, 0, { 1, 3, 64, 64 })))
return method {
  name = "attention_rollout", family = "attention", draws = "overlay",
  paper = "Abnar & Zuidema 2020, Quantifying attention flow in transformers",
  options = {
    "normalize",
    heads = opt.choice("mean", { "mean", "max", "min" }, "what stands for all heads"),
    expand = opt.flag(true, "resize to the picture"),
  },
  finish = tokens.finish,
  keeps = function(net) return tokens.needed("attention_rollout", net)[1].layer end,
  explain = function(run, o)
    local list, rolled = tokens.needed("attention_rollout", run.net), nil
    for _, attention in ipairs(list) do
      local A = fusions[o.heads](run:preactivation(attention.layer.name):detach())
      A = A + tokens.identity(A:dim(1), A:dim(2))
      A = A / A:sum { dims = { 3 }, keepdims = true }
      rolled = rolled and core.ops.matmul(A, rolled) or A
    end
    return tokens.read(rolled, tokens.grid(run.net, rolled:dim(2)))
  end,
}
