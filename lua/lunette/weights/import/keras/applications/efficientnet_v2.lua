---EfficientNet V2 (Tan & Le 2021): B0 to B3, and S, M, L.
local M = {}

---@class lunette.keras.Stage
---@field [1] integer   repeats
---@field [2] integer   expansion
---@field [3] integer   stride of the first
---@field fused? boolean  one convolution for expansion and depthwise; the others excite
---@field adds? boolean   the first is added to what it reads, too

---@type table<string, lunette.keras.Stage[]>
local stages = {
  b = { { 1, 1, 1, fused = true }, { 2, 4, 2, fused = true }, { 2, 4, 2, fused = true },
        { 3, 4, 2 }, { 5, 6, 1 }, { 8, 6, 2 } },
  s = { { 2, 1, 1, fused = true, adds = true }, { 4, 4, 2, fused = true },
        { 4, 4, 2, fused = true }, { 6, 4, 2 }, { 9, 6, 1 }, { 15, 6, 2 } },
  m = { { 3, 1, 1, fused = true, adds = true }, { 5, 4, 2, fused = true },
        { 5, 4, 2, fused = true }, { 7, 4, 2 }, { 14, 6, 1 }, { 18, 6, 2 },
        { 5, 6, 1 } },
  l = { { 4, 1, 1, fused = true, adds = true }, { 7, 4, 2, fused = true },
        { 7, 4, 2, fused = true }, { 10, 4, 2 }, { 19, 6, 1 }, { 25, 6, 2 },
        { 7, 6, 1 } },
}

---Stages, depth, side, channels of the last convolution.
local kinds = {
  efficientnet_v2_b0 = { "b", 1.0, 224, 1280 },
  efficientnet_v2_b1 = { "b", 1.1, 240, 1280 },
  efficientnet_v2_b2 = { "b", 1.2, 260, 1408 },
  efficientnet_v2_b3 = { "b", 1.4, 300, 1536 },
  efficientnet_v2_s = { "s", 1, 384, 1280 }, efficientnet_v2_m = { "m", 1, 480, 1280 },
  efficientnet_v2_l = { "l", 1, 480, 1280 },
}


local function conv_bn(g, name, k, s)
  g:conv(name .. "conv", k, { s = s })
  g:bn(name .. "bn")
end


---Expand, depthwise, excite, project.
local function block(g, name, stride)
  conv_bn(g, name .. "expand_", 1)
  g:act "swish"
  g:depthwise(name .. "dwconv2", 3, { s = stride })
  g:bn(name .. "bn")
  g:act "swish"
  g:excite(g.last, { reduce = name .. "se_reduce", expand = name .. "se_expand",
                     act = "swish", gate = function() return g:act "sigmoid" end })
  conv_bn(g, name .. "project_", 1)
end


---One convolution for expansion and depthwise, then project; without an expansion the
---one convolution is all.
local function fused_block(g, name, stride, expands)
  conv_bn(g, name .. (expands and "expand_" or "project_"), 3, stride)
  g:act "swish"
  if expands then conv_bn(g, name .. "project_", 1) end
end


---0..255 to what the network wants; no numbers of the file.
local function rescale(g, kind)
  if kind ~= "b" then
    g:add("Rescaling", { scale = 1 / 128, offset = -1 })
    return
  end
  g:add("Rescaling", { scale = 1 / 255 })
  g:add("Normalization", { axis = -1, mean = { 0.485, 0.456, 0.406 },
                           variance = { 0.229 ^ 2, 0.224 ^ 2, 0.225 ^ 2 } })
end


local function build(g, kind, depth)
  rescale(g, kind)
  conv_bn(g, "stem_", 3, 2)
  g:act "swish"
  for k, stage in ipairs(stages[kind]) do
    for i = 1, math.ceil(stage[1] * depth) do
      local from = g.last
      local add = stage.fused and fused_block or block
      add(g, ("block%d%s_"):format(k, string.char(96 + i)),
          i == 1 and stage[3] or 1, stage[2] > 1)
      if i > 1 or stage.adds then g:join("Add", { g.last, from }) end
    end
  end
  conv_bn(g, "top_", 1)
  g:act "swish"
end


local function whole_range() return "pictures of 0..255 (include_preprocessing)" end


for name, row in pairs(kinds) do
  M[name] = { side = row[3], last = row[4],
              build = function(g) build(g, row[1], row[2]) end,
              input = whole_range }
end

return M
