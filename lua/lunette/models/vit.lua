---Vision Transformer (Dosovitskiy et al. 2020), names as torchvision has them: patches
---become tokens beside a class token, which alone is read in the end. What every token
---looks at is the layer `encoder.layers.encoder_layer_0.self_attention.attention`, one
---(heads, tokens, tokens) map of weights, whose rows sum to 1.
local Blocks = require "lunette.models.blocks"

local M = {}

---Side of a patch, layers, heads, channels, channels of the inner dense layer.
local rows = {
  vit_b_16 = { 16, 12, 12, 768, 3072 }, vit_b_32 = { 32, 12, 12, 768, 3072 },
  vit_l_16 = { 16, 24, 16, 1024, 4096 }, vit_l_32 = { 32, 24, 16, 1024, 4096 },
  vit_h_14 = { 14, 32, 16, 1280, 5120 },
}


---One of query, key and value, the `i`-th third of a projection of all or one of its
---own (`v.separate`), as (heads, tokens, channels of a head).
local function part(b, name, i, from, v)
  if v.separate then
    b:add { name .. ".proj", "linear", units = v.width, from = from }
  else
    b:add { name .. "_part", "narrow", dim = 3, start = (i - 1) * v.width + 1,
            length = v.width, from = from }
  end
  b:add { name .. "_heads", "reshape",
          shape = { v.tokens, v.heads, v.width // v.heads } }
  return b:add { name, "permute", dims = { 1, 3, 2, 4 } }
end


---Multi-head attention of `v.tokens` tokens: softmax(q k' / sqrt d) v.
local function attention(b, name, v)
  local all = v.separate and b.last
    or b:add { name .. ".in_proj", "linear", units = 3 * v.width }
  local q = part(b, name .. ".query", 1, all, v)
  local k = part(b, name .. ".key", 2, all, v)
  local value = part(b, name .. ".value", 3, all, v)
  b:add { name .. ".scaled", "mul", from = { q, (v.width // v.heads) ^ -0.5 } }
  b:add { name .. ".scores", "matmul", from = { b.last, k }, transpose_b = 1 }
  b:add { name .. ".attention", "softmax", dim = 4 }
  b:add { name .. ".mixed", "matmul", from = { b.last, value } }
  b:add { name .. ".tokens", "permute", dims = { 1, 3, 2, 4 } }
  b:add { name .. ".joined", "reshape", shape = { v.tokens, v.width } }
  return b:add { name .. ".out_proj", "linear", units = v.width, aliases = { name } }
end


local function norm(b, name, aliases)
  return b:add { name, "layer_norm", eps = 1e-6, aliases = aliases }
end


---What attention, then two dense layers, make of normalised tokens is added to them.
local function unit(b, name, v)
  local from = b.last
  norm(b, name .. ".ln_1")
  local looked = attention(b, name .. ".self_attention", v)
  from = b:add { name .. ".add_1", "add", from = { looked, from } }
  norm(b, name .. ".ln_2")
  b:add { name .. ".mlp.0", "linear", units = v.inner,
          aliases = { name .. ".mlp.linear_1" } }
  b:add { name .. ".mlp.1", "gelu" }
  b:add { name .. ".mlp.3", "linear", units = v.width,
          aliases = { name .. ".mlp.linear_2" } }
  b:add { name .. ".add_2", "add", from = { from, b.last }, aliases = { name } }
end


---Patches as tokens, the class token before them, each with its place added.
local function embed(b, v, grid)
  b:add { "conv_proj", "conv2d", filters = v.width, kernel = v.patch, stride = v.patch }
  b:add { "patches", "reshape", shape = { v.width, grid } }
  b:add { "tokens", "permute", dims = { 1, 3, 2 } }
  b:add { "class_token", "concat", dim = 2,
          from = { { param = "class_token", shape = { 1, v.width } }, "tokens" } }
  b:add { "encoder.embedded", "add", aliases = { "encoder" },
          from = { "class_token", { param = "pos_embedding",
                                    shape = { 1, v.tokens, v.width } } } }
end


local function build(name, opts)
  opts = opts or {}
  local b, side, row = Blocks.new(), opts.side or 224, rows[name]
  side = type(side) == "table" and side or { side, side }
  local v = { patch = opts.patch or row[1], heads = opts.heads or row[3],
              width = opts.width or row[4], inner = opts.inner or row[5],
              separate = opts.separate }
  local grid = side[1] // v.patch * (side[2] // v.patch)
  v.tokens = grid + 1
  embed(b, v, grid)
  for i = 0, (opts.depth or row[2]) - 1 do
    unit(b, "encoder.layers.encoder_layer_" .. i, v)
  end
  norm(b, "encoder.ln", { "encoder" })
  b:add { "read", "narrow", dim = 2, start = 1, length = 1 }
  b:add { "flatten", "flatten" }
  b:add { "heads.head", "linear", units = opts.classes or 1000, aliases = { "heads" } }
  b:add { "softmax", "softmax" }
  return b:arch(name, opts)
end


for name in pairs(rows) do
  ---The layers of a Vision Transformer, as a table for lu.net; smaller ones by side of
  ---a patch, layers, heads, channels and channels of the inner dense layer;
  ---`separate`: query, key and value are projected by a dense layer each.
  ---@param opts? { classes?: integer, side?: integer|table,
  ---  preprocessing?: string|table, patch?: integer, depth?: integer,
  ---  heads?: integer, width?: integer, inner?: integer, separate?: boolean }
  ---@return table
  M[name] = function(opts) return build(name, opts) end
end

return M
