local blame = require "lunette.base.blame"
local layers = require "lunette.layers"
local method = require("lunette.explain.method").new
local opt = require("lunette.base.options").opt
local scored = require "lunette.net.scored"
local scores = require "lunette.score"
local tokens = require "lunette.explain.tokens"


---The layers behind the last block that the scored layer is computed from. They must
---read nothing before that block's output.
local function head_of(run, target, last)
  local needed, inside = { [target.name] = true }, { [last.name] = true }
  local list, all = {}, run.net:layers()
  for i = target.index, last.index + 1, -1 do
    if needed[all[i].name] then
      table.insert(list, 1, all[i])
      for _, from in ipairs(all[i].from) do needed[from] = true end
    end
  end
  for _, layer in ipairs(list) do
    for _, from in ipairs(layer.from) do
      if not inside[from] then
        blame(("legrad: layer '%s' behind the last block reads '%s' too"):format(
              layer.name, from))
      end
    end
    inside[layer.name] = true
  end
  return list
end


---The head's output for a block's tokens; with pool "mean" the mean of all tokens
---stands in the place of each.
local function headed(run, head, last, value, pool)
  if pool == "mean" then
    value = value:mean { dims = { 2 }, keepdims = true }:expand(value:shape())
  end
  local values = { [last.name] = value }
  for _, layer in ipairs(head) do
    local xs = {}
    for i, from in ipairs(layer.from) do xs[i] = values[from] end
    value = layers.apply(layer, xs, run.net:params_of(layer), {})
    values[layer.name] = value
  end
  return value
end


---The score, asked of what the head makes of a block's output.
local function at_block(run, o, head, last, block)
  local score = scores.resolve(o.score, run)
  return scores.new("legrad", function(value)
    return score.fn(headed(run, head, last, value, o.pool), run, score, head[#head])
  end, block.name)
end


---LeGrad (Bousselham et al. 2024): at every block the score is what the network's own
---norm and head make of the block's output; its gradient by the block's attention
---weights, negative parts set to 0, is averaged over heads and tokens, and summed over
---blocks. Raw it is (N,h,w) of patches. `pool = "mean"` reads the mean of all tokens,
---as the authors' program does with CLIP, instead of the class token.
---Caveat: the head was trained on the last block's output; early blocks differ.
---Example:
---  local net = assert(lu.net(lu.models.vit_b_32 { side = 64, depth = 2, width = 24,
---    inner = 48, heads = 2, classes = 10 })):init(1)
---  local run = net:run(lu.core.normal(1, 0, { 1, 3, 64, 64 }))
---  show(lu.legrad(run, { score = 3, modifiers = { "linear" } }))
return method {
  name = "legrad", family = "attention", draws = "overlay",
  paper = "Bousselham et al. 2024, LeGrad: an explainability method for ViTs",
  options = {
    "score", "modifiers", "normalize",
    pool = opt.choice("class", { "class", "mean" }, "what stands for a layer"),
    from = opt.count(1, "the first layer of attention that counts"),
    expand = opt.flag(true, "resize to the picture"),
  },
  finish = tokens.finish,
  keeps = function(net) return tokens.needed("legrad", net)[1].layer end,
  explain = function(run, o)
    local list, total = tokens.needed("legrad", run.net), nil
    local last = list[#list].block
    if not last then blame("legrad: its blocks end in no sum of tokens") end
    if o.from > #list then
      blame(("legrad: from is %d, there are %d layers of attention"):format(o.from,
            #list))
    end
    local target = scored.layer(run, scores.resolve(o.score, run), o.modifiers)
    if target.index < last.index then
      blame(("legrad: the score is of '%s', which stands before the end of the last "
        .. "block, '%s'; give one behind it"):format(target.name, last.name))
    end
    local head = head_of(run, target, last)
    for i = o.from, #list do
      local score = at_block(run, o, head, last, list[i].block)
      local g = run:gradient { score = score, modifiers = o.modifiers, exact = true,
                               wrt = list[i].layer.name }
      g = g:relu():mean { dims = { 2 } }:mean { dims = { 2 }, keepdims = true }
      total = total and total + g or g
    end
    local grid = tokens.grid(run.net, total:dim(3))
    return tokens.patches(total, 3, grid):reshape { run:count(), grid.h, grid.w }
  end,
}
