---Inception V3 (Szegedy et al. 2016) and Inception ResNet V2 (Szegedy et al. 2017),
---most of whose convolutions have Keras' own names.
local M = {}


---Convolution, batch norm without gamma, relu.
local function conv(g, k, o)
  g:conv(nil, k, o)
  g:bn(nil, { scale = false })
  return g:act "relu"
end


---Convolutions of these kernels, one behind the other, that read `from`.
local function chain(g, from, kernels, last)
  for i, k in ipairs(kernels) do
    local o = i == #kernels and last or {}
    from = conv(g, k, { from = from, s = o.s, padding = o.padding })
  end
  return from
end


local function averaged(g, x)
  return conv(g, 1, { from = g:pool("Average", 3, { s = 1, padding = "same",
                                                    from = x }) })
end


---Chains that read the same layer, in Keras' order: what each gives.
local function branches_of(g, branches, last)
  local x, list = g.last, {}
  for i, kernels in ipairs(branches) do list[i] = chain(g, x, kernels, last) end
  return list
end


local function block(g, branches)
  local x, list = g.last, branches_of(g, branches)
  list[#list + 1] = averaged(g, x)
  g:join("Concatenate", list)
end


local down = { s = 2, padding = "valid" }
local wide, tall = { 1, 7 }, { 7, 1 }


---Branches whose last convolution has a stride of 2, and a pooling.
local function reduced(g, branches)
  local x, list = g.last, branches_of(g, branches, down)
  list[#list + 1] = g:pool("Max", 3, { s = 2, from = x })
  g:join("Concatenate", list)
end


---What both networks begin with.
local function stem(g)
  conv(g, 3, down)
  conv(g, 3, { padding = "valid" })
  conv(g, 3)
  g:pool("Max", 3, { s = 2 })
  conv(g, 1, { padding = "valid" })
  conv(g, 3, { padding = "valid" })
  g:pool("Max", 3, { s = 2 })
end


---Both halves of a 3x3, 1x3 and 3x1, side by side.
local function halves(g, x)
  return g:join("Concatenate", { conv(g, { 1, 3 }, { from = x }),
                                 conv(g, { 3, 1 }, { from = x }) })
end


local function build(g)
  stem(g)
  for _ = 0, 2 do block(g, { { 1 }, { 1, 5 }, { 1, 3, 3 } }) end
  reduced(g, { { 3 }, { 1, 3, 3 } })
  for _ = 4, 7 do
    block(g, { { 1 }, { 1, wide, tall }, { 1, tall, wide, tall, wide } })
  end
  reduced(g, { { 1, 3 }, { 1, wide, tall, 3 } })
  for _ = 9, 10 do
    local x = g.last
    local a = conv(g, 1, { from = x })
    local b = halves(g, chain(g, x, { 1 }))
    local c = halves(g, chain(g, x, { 1, 3 }))
    g:join("Concatenate", { a, b, c, averaged(g, x) })
  end
end

M.inception_v3 = { side = 299, build = build }


-- Inception ResNet V2 --------------------------------------------------------------


---Branches of the three kinds of blocks: kernels, one behind the other.
local kinds = {
  block35 = { { 1 }, { 1, 3 }, { 1, 3, 3 } },
  block17 = { { 1 }, { 1, wide, tall } },
  block8 = { { 1 }, { 1, { 1, 3 }, { 3, 1 } } },
}


---What branches put out, brought to the block's width by a 1x1, is added `scale` times.
local function residual(g, kind, i, scale, is_last)
  local x, name = g.last, ("%s_%d"):format(kind, i)
  g:join("Concatenate", branches_of(g, kinds[kind]))
  g:conv(name .. "_conv", 1, { bias = true })
  g:add("CustomScaleLayer", { scale = scale }, { x, g.last })
  if not is_last then g:act "relu" end
end


local function build_residual(g)
  stem(g)
  block(g, { { 1 }, { 1, 5 }, { 1, 3, 3 } })
  for i = 1, 10 do residual(g, "block35", i, 0.17) end
  reduced(g, { { 3 }, { 1, 3, 3 } })
  for i = 1, 20 do residual(g, "block17", i, 0.1) end
  reduced(g, { { 1, 3 }, { 1, 3 }, { 1, 3, 3 } })
  for i = 1, 9 do residual(g, "block8", i, 0.2) end
  residual(g, "block8", 10, 1, true)
  g:conv("conv_7b", 1)
  g:bn("conv_7b_bn", { scale = false })
  g:act "relu"
end

M.inception_resnet_v2 = { side = 299, build = build_residual }

return M
