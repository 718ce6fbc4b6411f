---Xception (Chollet 2017).
local M = {}


local function separable(g, name, from)
  g:separable(name, 3, { from = from })
  return g:bn(name .. "_bn")
end


---Two separable convolutions, pooled, beside a projection by stride 2.
local function down(g, block)
  local name, x = ("block%d_sepconv"):format(block), g.last
  g:conv(nil, 1, { s = 2 })
  local residual = g:bn()
  if block > 2 then x = g:act("relu", nil, x) end
  separable(g, name .. "1", x)
  g:act "relu"
  separable(g, name .. "2")
  g:join("Add", { g:pool("Max", 3, { s = 2, padding = "same" }), residual })
end


local function middle(g, block)
  local from = g.last
  for i = 1, 3 do
    g:act "relu"
    separable(g, ("block%d_sepconv%d"):format(block, i))
  end
  g:join("Add", { g.last, from })
end


local function build(g)
  for i = 1, 2 do
    g:conv("block1_conv" .. i, 3, { s = i == 1 and 2 or 1, padding = "valid" })
    g:bn(("block1_conv%d_bn"):format(i))
    g:act "relu"
  end
  for block = 2, 4 do down(g, block) end
  for block = 5, 12 do middle(g, block) end
  down(g, 13)
  for i = 1, 2 do
    separable(g, "block14_sepconv" .. i)
    g:act "relu"
  end
end

M.xception = { side = 299, build = build }

return M
