---NASNet (Zoph et al. 2018), mobile and large.
local M = {}


---relu, separable convolution, batch norm, twice; the first may have a stride of 2.
local function separable(g, from, kernel, id, stride)
  local o = { s = stride or 1, padding = stride == 2 and "valid" or "same" }
  g:act("relu", nil, from)
  if stride == 2 then g:correct_pad(kernel) end
  g:separable("separable_conv_1_" .. id, kernel, o)
  g:bn("separable_conv_1_bn_" .. id)
  g:act "relu"
  g:separable("separable_conv_2_" .. id, kernel)
  return g:bn("separable_conv_2_bn_" .. id)
end


---Half of a picture's places, each a channel less wide: from the first, or the second.
local function halved(g, from, id, shifted)
  if shifted then
    g:add("ZeroPadding2D", { padding = { { 0, 1 }, { 0, 1 } } }, from)
    from = g:add("Cropping2D", { cropping = { { 1, 0 }, { 1, 0 } } })
  end
  g:pool("Average", 1, { s = 2, from = from })
  return g:conv(("adjust_conv_%d_%s"):format(shifted and 2 or 1, id), 1)
end


---What the cell before the last put out, brought to the size and width of the last.
local function adjusted(g, p, x, id)
  if not p then return x end
  local relu = g:act("relu", nil, p)
  if g.sizes[p][2] ~= g.sizes[x][2] then
    local one = halved(g, relu, id, false)
    g:join("Concatenate", { one, halved(g, relu, id, true) })
  else
    g:conv("adjust_conv_projection_" .. id, 1)
  end
  return g:bn("adjust_bn_" .. id)
end


local function squeezed(g, x, kind, id)
  g:act("relu", nil, x)
  g:conv(("%s_conv_1_%s"):format(kind, id), 1)
  return g:bn(("%s_bn_1_%s"):format(kind, id))
end


local function normal(g, x, p, id)
  p = adjusted(g, p, x, id)
  local h = squeezed(g, x, "normal", id)
  local function sep(from, kernel, side)
    return separable(g, from, kernel, ("normal_%s_%s"):format(side, id))
  end
  local function mean(from)
    return g:pool("Average", 3, { s = 1, padding = "same", from = from })
  end
  local list = { p }
  local a = sep(h, 5, "left1")
  list[2] = g:join("Add", { a, sep(p, 3, "right1") })
  a = sep(p, 5, "left2")
  list[3] = g:join("Add", { a, sep(p, 3, "right2") })
  list[4] = g:join("Add", { mean(h), p })
  a = mean(p)
  list[5] = g:join("Add", { a, mean(p) })
  list[6] = g:join("Add", { sep(h, 3, "left5"), h })
  return g:join("Concatenate", list)
end


local function reduction(g, x, p, id)
  p = adjusted(g, p, x, id)
  local h = squeezed(g, x, "reduction", id)
  local padded = g:correct_pad(3, h)
  local function sep(from, kernel, side, stride)
    return separable(g, from, kernel, ("reduction_%s_%s"):format(side, id), stride)
  end
  local function pooled(kind) return g:pool(kind, 3, { s = 2, from = padded }) end
  local a = sep(h, 5, "left1", 2)
  local x1 = g:join("Add", { a, sep(p, 7, "right1", 2) })
  a = pooled "Max"
  local x2 = g:join("Add", { a, sep(p, 7, "right2", 2) })
  a = pooled "Average"
  local x3 = g:join("Add", { a, sep(p, 5, "right3", 2) })
  local x4 = g:join("Add", { x2, g:pool("Average", 3, { s = 1, padding = "same",
                                                        from = x1 }) })
  a = sep(x1, 3, "left4")
  local x5 = g:join("Add", { a, pooled "Max" })
  return g:join("Concatenate", { x2, x3, x4, x5 })
end


---@param n integer        normal cells a stage
---@param skips boolean    of the large one: the cell before a reduction is not read
local function build(g, n, skips)
  g:conv("stem_conv1", 3, { s = 2, padding = "valid" })
  local x, p = g:bn "stem_bn1", nil
  local function add(cell, id) x, p = cell(g, x, p, id), x end
  add(reduction, "stem_1")
  add(reduction, "stem_2")
  for stage = 0, 2 do
    if stage > 0 then
      local before = p
      add(reduction, "reduce_" .. stage * n)
      if skips then p = before end
    end
    for i = 0, n - 1 do
      add(normal, tostring(stage * n + i + (stage > 0 and 1 or 0)))
    end
  end
  g:act "relu"
end

M.nasnet_mobile = { side = 224, build = function(g) build(g, 4, false) end }
M.nasnet_large = { side = 331, build = function(g) build(g, 6, true) end }

return M
