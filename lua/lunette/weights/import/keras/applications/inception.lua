---Inception V3 (Szegedy et al. 2016), all of whose convolutions have Keras' own names.
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


---Where kernels of several orders are computed side by side, their order is Keras'.
local function block(g, branches)
  local x, list = g.last, {}
  for i, kernels in ipairs(branches) do list[i] = chain(g, x, kernels) end
  list[#list + 1] = averaged(g, x)
  g:join("Concatenate", list)
end


local down = { s = 2, padding = "valid" }


---Both halves of a 3x3, 1x3 and 3x1, side by side.
local function halves(g, x)
  return g:join("Concatenate", { conv(g, { 1, 3 }, { from = x }),
                                 conv(g, { 3, 1 }, { from = x }) })
end


local function build(g)
  conv(g, 3, down)
  conv(g, 3, { padding = "valid" })
  conv(g, 3)
  g:pool("Max", 3, { s = 2 })
  conv(g, 1, { padding = "valid" })
  conv(g, 3, { padding = "valid" })
  g:pool("Max", 3, { s = 2 })
  for _ = 0, 2 do block(g, { { 1 }, { 1, 5 }, { 1, 3, 3 } }) end
  local x = g.last
  local a, b = chain(g, x, { 3 }, down), chain(g, x, { 1, 3, 3 }, down)
  g:join("Concatenate", { a, b, g:pool("Max", 3, { s = 2, from = x }) })
  local wide, tall = { 1, 7 }, { 7, 1 }
  for _ = 4, 7 do
    block(g, { { 1 }, { 1, wide, tall }, { 1, tall, wide, tall, wide } })
  end
  x = g.last
  a, b = chain(g, x, { 1, 3 }, down), chain(g, x, { 1, wide, tall, 3 }, down)
  g:join("Concatenate", { a, b, g:pool("Max", 3, { s = 2, from = x }) })
  for _ = 9, 10 do
    x = g.last
    a = conv(g, 1, { from = x })
    b = halves(g, chain(g, x, { 1 }))
    local c = halves(g, chain(g, x, { 1, 3 }))
    g:join("Concatenate", { a, b, c, averaged(g, x) })
  end
end

M.inception_v3 = { side = 299, build = build }

return M
