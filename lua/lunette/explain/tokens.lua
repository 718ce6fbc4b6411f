---What Vision Transformers have: layers of attention, whose weights say how much every
---token reads of every other, and tokens that stand for patches of the picture. All of
---it is found in the graph, whoever made it; nobody has to say how tokens are arranged.
local blame = require "lunette.base.blame"
local makers = require "lunette.tensors.makers"

local M = {}

local MOST_BESIDE = 16 -- tokens that are no patches: class, distillation, registers


---@class lunette.Attention
---@field layer lunette.Layer    the softmax: (heads, tokens, tokens), rows sum to 1
---@field tokens lunette.Layer   what its query, key and value are made of (tokens, C)
---@field block? lunette.Layer   the sum that its block puts out (tokens, C)


---A product of what a layer reads with parameters.
local function is_dense(layer)
  return layer.kind == "linear" or layer.kind == "matmul" and layer.operands ~= nil
end


---The input of the nearest dense layer that `layer` is computed from, following first
---inputs; nil where there is none.
local function projected(net, layer)
  while layer do
    local dense = is_dense(layer)
    layer = net:layer(layer.from[1])
    if dense then return layer end
  end
  return nil
end


---The attention whose softmax a layer is, or nil.
local function attention_of(net, layer)
  local s = layer.shape
  if layer.kind ~= "softmax" or #s ~= 3 or s[2] ~= s[3] or s[2] == 1 then return nil end
  if layer.dim ~= 4 and layer.dim ~= -1 then return nil end
  local tokens = projected(net, layer)
  if not tokens or #tokens.shape ~= 2 or tokens.shape[1] ~= s[2] then return nil end
  return { layer = layer, tokens = tokens }
end


---Is the layer a residual sum, of two layers of tokens of that shape?
local function is_residual(layer, shape)
  return layer.kind == "add" and not layer.operands and #layer.from == 2
    and #layer.shape == 2 and layer.shape[1] == shape[1] and layer.shape[2] == shape[2]
end


local known = setmetatable({}, { __mode = "k" }) -- net -> its attentions


---The layers of attention of a network, in order.
---@param net lunette.Net
---@return lunette.Attention[]   empty: it has none
function M.attentions(net)
  if known[net] then return known[net] end
  local list = {}
  for _, layer in ipairs(net:layers()) do
    local last = list[#list]
    if last and is_residual(layer, last.tokens.shape) then last.block = layer end
    list[#list + 1] = attention_of(net, layer)
  end
  known[net] = list
  return list
end


---The same, or an error in the name of what needs them.
---@param who string
---@param net lunette.Net
---@return lunette.Attention[]
function M.needed(who, net)
  local list = M.attentions(net)
  if #list > 0 then return list end
  blame(("%s: %s has no attention between tokens: no softmax of shape (heads, tokens, "
    .. "tokens) behind a dense layer; it is for Vision Transformers"):format(who,
    net.name))
end


---@class lunette.TokenGrid
---@field h integer      patches a column
---@field w integer      patches a row
---@field skip integer   tokens before them that are no patches

---How `count` tokens lie over the picture: as the map that the last convolution before
---the first attention put out; where there is none, as a square.
---@param net lunette.Net
---@param count integer
---@return lunette.TokenGrid?   nil: they are no patches of a picture
function M.grid(net, count)
  local first = M.attentions(net)[1]
  local grid
  for _, layer in ipairs(net:layers()) do
    if not first or layer == first.layer then break end
    local s = layer.shape
    local beside = #s == 3 and count - s[2] * s[3]
    if layer.kind == "conv2d" and beside >= 0 and beside <= MOST_BESIDE then
      grid = { h = s[2], w = s[3], skip = beside }
    end
  end
  if grid or not first then return grid end
  local side = math.floor(count ^ 0.5)
  local beside = count - side * side
  return beside <= MOST_BESIDE and { h = side, w = side, skip = beside } or nil
end


---The grid of a layer of tokens (tokens, C); nil: it is no such layer.
---@param net lunette.Net
---@param layer lunette.Layer
---@return lunette.TokenGrid?
function M.grid_of(net, layer)
  local first = M.attentions(net)[1]
  if not first or #layer.shape ~= 2 or layer.shape[1] ~= first.tokens.shape[1] then
    return nil
  end
  return M.grid(net, layer.shape[1])
end


---The tokens along dimension d that are patches, without class tokens and others.
---@param x lunette.Tensor
---@param d integer
---@param grid lunette.TokenGrid
---@return lunette.Tensor   h * w along d
function M.patches(x, d, grid)
  return x:narrow { dim = d, start = grid.skip + 1, length = grid.h * grid.w }
end


---Tokens as a map: (N,tokens,C) to (N,C,h,w), without those that are no patches.
---@param value lunette.Tensor
---@param grid lunette.TokenGrid
---@return lunette.Tensor
function M.map(value, grid)
  return M.patches(value, 2, grid)
    :permute { dims = { 1, 3, 2 } }
    :reshape { value:dim(1), value:dim(3), grid.h, grid.w }
end


---From R (N,tokens,tokens), how much every token takes from every other, to a map
---(N,h,w): the class token's row over the patches; without a class token, the mean row.
---@param R lunette.Tensor
---@param grid lunette.TokenGrid
---@return lunette.Tensor
function M.read(R, grid)
  local row
  if grid.skip > 0 then
    row = R:narrow { dim = 2, start = 1, length = 1 }
  else
    row = R:mean { dims = { 2 }, keepdims = true }
  end
  return M.patches(row, 3, grid):reshape { R:dim(1), grid.h, grid.w }
end


---n identity matrices, (n,count,count): every token takes from itself alone.
---@param n integer
---@param count integer
---@return lunette.Tensor
function M.identity(n, count)
  return makers.eye(count):reshape { 1, count, count }:expand { n, count, count }
end


---A map of patches (N,h,w) as it is drawn: from 0 to 1, as large as the picture.
---@param raw lunette.Tensor
---@param o { normalize: boolean, expand: boolean }
---@param run lunette.Run
---@return lunette.Tensor
function M.finish(raw, o, run)
  local size = run.net.input
  local map = o.expand and raw:resize(size[2], size[3]) or raw
  return o.normalize and map:normalize() or map
end

return M
