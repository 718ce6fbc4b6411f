---Gradients of convolutions, dense layers and matrix products with respect to their
---inputs. (Explanations need no gradients of weights.)
local common = require "lunette.trace.back.common"
local core = require "lunette.core"

local M = {}


---The gradient of a convolution's input: the transposed convolution of dy, padded or
---cropped to the input's size.
---@param dy lunette.Tensor      (N,K,h,w)
---@param w lunette.Tensor       (K,C/groups,kh,kw)
---@param attrs table            of the convolution
---@param size integer[]         height and width of what it read
---@return lunette.Tensor
function M.transposed(dy, w, attrs, size)
  local before = common.padding(attrs)
  local stride = { common.pair(attrs, "stride", 1) }
  local dilation = { common.pair(attrs, "dilation", 1) }
  local after, more = {}, {}
  for a = 1, 2 do
    local whole = stride[a] * (dy:dim(a + 2) - 1) + dilation[a] * (w:dim(a + 2) - 1) + 1
    local beyond = whole - before[a] - size[a]
    after[a], more[a] = math.max(0, beyond), math.max(0, -beyond)
  end
  return core.ops.conv_transpose2d(dy, w, nil, { stride = stride, padding = before,
    padding_end = after, output_padding = more, dilation = dilation,
    groups = attrs.groups })
end


function M.conv2d(n, dy, i)
  if i > 1 then return nil, "weights" end
  local x = n.inputs[1]
  return M.transposed(dy, n.inputs[2], n.attrs, { x:dim(3), x:dim(4) })
end


function M.conv_transpose2d(n, dy, i)
  if i > 1 then return nil, "weights" end
  local x, before, after = n.inputs[1], common.padding(n.attrs)
  local y = core.ops.conv2d(dy, n.inputs[2], nil, { stride = n.attrs.stride,
    padding = before, padding_end = after, dilation = n.attrs.dilation,
    groups = n.attrs.groups })
  for d = 3, 4 do -- rows and columns that output_padding added have no input
    if y:dim(d) ~= x:dim(d) then
      y = y:narrow { dim = d, start = 1, length = x:dim(d) }
    end
  end
  return y
end


function M.linear(n, dy, i)
  if i > 1 then return nil, "weights" end
  local other = n.attrs.weight_layout == "in_out" and "out_in" or "in_out"
  return core.ops.linear(dy, n.inputs[2], nil, { weight_layout = other })
end


function M.matmul(n, dy, i)
  local a, b = n.inputs[1], n.inputs[2]
  local ta, tb = n.attrs.transpose_a ~= 0, n.attrs.transpose_b ~= 0
  local g
  if i == 1 then
    g = ta and core.ops.matmul(b, dy, { transpose_a = tb, transpose_b = true })
      or core.ops.matmul(dy, b, { transpose_b = not tb })
  else
    g = tb and core.ops.matmul(dy, a, { transpose_a = true, transpose_b = ta })
      or core.ops.matmul(a, dy, { transpose_a = not ta })
  end
  return common.unbroadcast(g, n.inputs[i])
end

return M
