---EfficientNet B0 to B7 (Tan & Le 2019).
local M = {}

---Depth, side, channels of the last convolution, by which B1 and B2 differ alone.
local scales = {
  efficientnet_b0 = { 1.0, 224, 1280 }, efficientnet_b1 = { 1.1, 240, 1280 },
  efficientnet_b2 = { 1.2, 260, 1408 }, efficientnet_b3 = { 1.4, 300, 1536 },
  efficientnet_b4 = { 1.8, 380, 1792 }, efficientnet_b5 = { 2.2, 456, 2048 },
  efficientnet_b6 = { 2.6, 528, 2304 }, efficientnet_b7 = { 3.1, 600, 2560 },
}

---Expansion, kernel, stride, repeats.
local stages = { { 1, 3, 1, 1 }, { 6, 3, 2, 2 }, { 6, 5, 2, 2 }, { 6, 3, 2, 3 },
                 { 6, 5, 1, 3 }, { 6, 5, 2, 4 }, { 6, 3, 1, 1 } }


local function block(g, name, o)
  local from = g.last
  if o.expand then
    g:conv(name .. "expand_conv", 1)
    g:bn(name .. "expand_bn")
    g:act "swish"
  end
  if o.stride == 2 then g:correct_pad(o.kernel) end
  g:depthwise(name .. "dwconv", o.kernel, { s = o.stride,
                                   padding = o.stride == 2 and "valid" or "same" })
  g:bn(name .. "bn")
  g:act "swish"
  g:excite(g.last, { reduce = name .. "se_reduce", expand = name .. "se_expand",
                     act = "swish", gate = function() return g:act "sigmoid" end })
  g:conv(name .. "project_conv", 1)
  g:bn(name .. "project_bn")
  if o.repeats then g:join("Add", { g.last, from }) end
end


---0..255 to what the network wants, where the file has the means.
local function rescale(g)
  g:add("Rescaling", { scale = 1 / 255 })
  g:add("Normalization", { axis = -1 }, nil, "normalization")
  g:add("Rescaling", { scale = { 0.229 ^ -0.5, 0.224 ^ -0.5, 0.225 ^ -0.5 } })
end


local function build(g, depth, has)
  if has "normalization" then rescale(g) end
  g:correct_pad(3)
  g:conv("stem_conv", 3, { s = 2, padding = "valid" })
  g:bn "stem_bn"
  g:act "swish"
  for s, row in ipairs(stages) do
    for i = 1, math.ceil(row[4] * depth) do
      block(g, ("block%d%s_"):format(s, string.char(96 + i)), { expand = row[1] > 1,
            kernel = row[2], stride = i == 1 and row[3] or 1, repeats = i > 1 })
    end
  end
  g:conv("top_conv", 1)
  g:bn "top_bn"
  g:act "swish"
end


---What only a config would say of the first layers.
local function input_of(has)
  return has "normalization" and "pictures of 0..255, divided by the root of "
    .. "ImageNet's deviations behind the file's own means, as in Keras' ImageNet "
    .. "weights (a network made with weights = None does not divide)" or nil
end


for name, row in pairs(scales) do
  M[name] = { side = row[2], build = function(g, has) build(g, row[1], has) end,
              last = row[3], input = input_of }
end

return M
