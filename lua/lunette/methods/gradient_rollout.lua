local core = require "lunette.core"
local method = require("lunette.explain.method").new
local opt = require("lunette.base.options").opt
local tokens = require "lunette.explain.tokens"


---The gradients of the score by the weights of all layers of attention.
local function gradients(run, o, list)
  local names = {}
  for i, attention in ipairs(list) do names[i] = attention.layer.name end
  return { run:gradient { score = o.score, modifiers = o.modifiers, wrt = names,
                          exact = true } }
end


---Gradient-weighted attention rollout (Chefer, Gur & Wolf 2021, the rule of
---self-attention): from R = I every layer adds A' R, where A' is the mean over the
---heads of the attention times the score's gradient by it, positive ones. The map is
---what the class token has of every patch; raw it is (N,h,w) of the patches.
---Caveat: weights that speak against the class are dropped; dense layers and norms
---  count as passing every token by itself.
---Example:
---  local net = assert(lu.net(lu.models.vit_b_32 { side = 64, depth = 2, width = 24,
---    inner = 48, heads = 2, classes = 10 })):init(1)
---  local run = net:run(lu.core.normal(1, 0, { 1, 3, 64, 64 }))
---  show(lu.gradient_rollout(run, { score = 3, modifiers = { "linear" } }))
return method {
  name = "gradient_rollout", family = "attention", draws = "overlay",
  paper = "Chefer, Gur & Wolf 2021, Generic attention-model explainability",
  options = {
    "score", "modifiers", "normalize",
    expand = opt.flag(true, "resize to the picture"),
  },
  finish = tokens.finish,
  keeps = function(net) return tokens.needed("gradient_rollout", net)[1].layer end,
  explain = function(run, o)
    local list = tokens.needed("gradient_rollout", run.net)
    local count = list[1].tokens.shape[1]
    local R = tokens.identity(run:count(), count)
    for i, g in ipairs(gradients(run, o, list)) do
      local A = run:preactivation(list[i].layer.name):detach()
      R = R + core.ops.matmul((A * g):relu():mean { dims = { 2 } }, R)
    end
    return tokens.read(R, tokens.grid(run.net, count))
  end,
}
