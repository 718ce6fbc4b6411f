local blame = require "lunette.base.blame"
local method = require("lunette.explain.method").new
local opt = require("lunette.base.options").opt
local tokens = require "lunette.explain.tokens"
local types = require "lunette.base.types"


---The attention that an option names: by its number, by the layer's name, or the last.
local function chosen(net, which)
  local list = tokens.needed("attention", net)
  if which == "last" then return list[#list] end
  for i, attention in ipairs(list) do
    if which == i or net:layer(which) == attention.layer then return attention end
  end
  local text = "attention: layer is \"last\", 1 .. %d or one of '%s' ... '%s', not '%s'"
  blame(text:format(#list, list[1].layer.name, list[#list].layer.name,
                    tostring(which)))
end


---The token that reads: the class token, or that of a place {row, column} of the grid.
local function row_of(token, grid)
  if token == "class" then return 1 end
  local y, x = table.unpack(type(token) == "table" and token or {})
  if types.is_count(y) and types.is_count(x) and y <= grid.h and x <= grid.w then
    return grid.skip + (y - 1) * grid.w + x
  end
  blame(("attention: token is \"class\" or {row, column} of %d x %d patches"):format(
    grid.h, grid.w))
end


---Attention maps: what a token of a Vision Transformer reads of every patch, a map a
---head, (N,heads,h,w). The weights of all tokens are the value of the softmax layer:
---`run["encoder.layers.encoder_layer_0.self_attention.attention"]`, (N,heads,T,T).
---Caveat: what is looked at need not count for the class; see lu.gradient_rollout.
---Example:
---  local net = assert(lu.net(lu.models.vit_b_32 { side = 64, depth = 2, width = 24,
---    inner = 48, heads = 2, classes = 10 })):init(1)
---  local run = net:run(lu.core.normal(1, 0, { 1, 3, 64, 64 }))
---  show(lu.attention(run, { layer = 1, token = { 2, 1 } }))
return method {
  name = "attention", family = "attention", draws = "channels", flat = false,
  paper = "Dosovitskiy et al. 2020, An image is worth 16x16 words",
  options = {
    layer = opt.any("last", "which attention: its number or its layer's name"),
    token = opt.any("class", "who reads: \"class\" or {row, column} of the patches"),
  },
  keeps = function(net, o) return chosen(net, o.layer).layer end,
  explain = function(run, o)
    local attention = chosen(run.net, o.layer)
    local A = run:preactivation(attention.layer.name):detach()
    local heads, count = A:dim(2), A:dim(3)
    local grid = tokens.grid(run.net, count)
    local row = A:narrow { dim = 3, start = row_of(o.token, grid), length = 1 }
    return tokens.patches(row, 4, grid)
      :reshape { A:dim(1), heads, grid.h, grid.w }, { layer = attention.layer.name }
  end,
}
