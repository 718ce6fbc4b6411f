---MobileNet V2 (Sandler et al. 2018) and V3 (Howard et al. 2019).
local M = {}


-- V2 -----------------------------------------------------------------------------


---Expansion, repeats, stride of the first.
local v2 = { { 1, 1, 1 }, { 6, 2, 2 }, { 6, 3, 2 }, { 6, 4, 2 }, { 6, 3, 1 },
             { 6, 3, 2 }, { 6, 1, 1 } }


---Expand (unless by 1), depthwise, project; added where it repeats.
local function inverted(g, p, o)
  local from = g.last
  if o.expand then
    g:conv(p .. "expand", 1)
    g:bn(p .. "expand_BN")
    g:relu6()
  end
  if o.stride == 2 then g:correct_pad(3) end
  g:depthwise(p .. "depthwise", 3, { s = o.stride,
                                     padding = o.stride == 2 and "valid" or "same" })
  g:bn(p .. "depthwise_BN")
  g:relu6()
  g:conv(p .. "project", 1)
  g:bn(p .. "project_BN")
  if o.repeats then g:join("Add", { from, g.last }) end
end


local function build_v2(g)
  local at = 0
  g:conv("Conv1", 3, { s = 2 })
  g:bn "bn_Conv1"
  g:relu6()
  for _, row in ipairs(v2) do
    for i = 1, row[2] do
      inverted(g, at == 0 and "expanded_conv_" or ("block_%d_"):format(at), {
        expand = row[1] > 1, stride = i == 1 and row[3] or 1, repeats = i > 1 })
      at = at + 1
    end
  end
  g:conv("Conv_1", 1)
  g:bn "Conv_1_bn"
  g:relu6()
end

M.mobilenet_v2 = { build = build_v2 }


-- V3 -----------------------------------------------------------------------------


---Kernel, stride, squeeze and excite, hard swish (else relu); repeats the one before.
local v3 = {
  large = { { 3, 1 }, { 3, 2 }, { 3, 1, repeats = true }, { 5, 2, true },
    { 5, 1, true, repeats = true }, { 5, 1, true, repeats = true },
    { 3, 2, false, true }, { 3, 1, false, true, repeats = true },
    { 3, 1, false, true, repeats = true }, { 3, 1, false, true, repeats = true },
    { 3, 1, true, true }, { 3, 1, true, true, repeats = true }, { 5, 2, true, true },
    { 5, 1, true, true, repeats = true }, { 5, 1, true, true, repeats = true } },
  small = { { 3, 2, true }, { 3, 2 }, { 3, 1, repeats = true }, { 5, 2, true, true },
    { 5, 1, true, true, repeats = true }, { 5, 1, true, true, repeats = true },
    { 5, 1, true, true }, { 5, 1, true, true, repeats = true }, { 5, 2, true, true },
    { 5, 1, true, true, repeats = true }, { 5, 1, true, true, repeats = true } },
}


---Names as Keras 2 had them until 2022: `expanded_conv/project/BatchNorm`.
local function earlier(name)
  return (name:gsub("^conv", "Conv"):gsub("^logits", "Logits")
    :gsub("^(expanded_conv_?%d*)_", "%1/"):gsub("_bn$", "/BatchNorm")
    :gsub("squeeze_excite_conv", "squeeze_excite/Conv"))
end


local function conv_bn(g, o, name)
  g:conv(o.name(name), 1)
  g:bn(o.name(name .. "_bn"))
end


local function depthwise_bn(g, o, name, kernel, stride)
  if stride == 2 then g:correct_pad(kernel) end
  g:depthwise(o.name(name), kernel, { s = stride,
                                      padding = stride == 2 and "valid" or "same" })
  g:bn(o.name(name .. "_bn"))
end


local function block(g, i, row, o)
  local kernel, stride, se, hard = table.unpack(row, 1, 4)
  local p, from, act = "expanded_conv_", g.last, hard and o.act or "relu"
  if i > 0 then
    p = ("expanded_conv_%d_"):format(i)
    conv_bn(g, o, p .. "expand")
    g:act(act)
  end
  depthwise_bn(g, o, p .. "depthwise", o.minimal and 3 or kernel, stride)
  g:act(act)
  if se and not o.minimal then
    g:excite(g.last, { reduce = o.name(p .. "squeeze_excite_conv"), act = "relu",
                       expand = o.name(p .. "squeeze_excite_conv_1"),
                       gate = function() return g:act "hard_sigmoid" end })
  end
  conv_bn(g, o, p .. "project")
  if row.repeats or i == 0 and stride == 1 then g:join("Add", { from, g.last }) end
end


local function build_v3(g, rows, o)
  g:add("Rescaling", { scale = 1 / 127.5, offset = -1 })
  g:conv(o.name "conv", 3, { s = 2 })
  g:bn(o.name "conv_bn")
  g:act(o.act)
  for i, row in ipairs(rows) do block(g, i - 1, row, o) end
  conv_bn(g, o, "conv_1")
  g:act(o.act)
end


---The head: two 1x1 convolutions of the mean; the last gives the classes.
local function top(o)
  return function(g, last)
    g:add("GlobalAveragePooling2D", { keepdims = true })
    g:conv(o.name "conv_2", 1, { bias = true })
    g:act(o.act)
    g:conv(o.name "logits", 1, { bias = true })
    g:add("Flatten", {})
    g:act(last)
  end
end


for size, rows in pairs(v3) do
  for _, minimal in ipairs { false, true } do
    for _, old in ipairs { false, true } do
      local o = { minimal = minimal, act = minimal and "relu" or "hard_swish",
                  name = old and earlier or function(name) return name end }
      M[("mobilenet_v3_%s%s%s"):format(size, minimal and "_minimalistic" or "",
        old and "|" or "")] = {
        build = function(g) build_v3(g, rows, o) end, top = top(o),
        logits = o.name "logits",
        input = function() return "pictures of 0..255 (include_preprocessing)" end }
    end
  end
end

return M
