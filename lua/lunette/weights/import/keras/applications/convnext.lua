---ConvNeXt (Liu et al. 2022): all layers have the model's name in front of theirs.
local M = {}

---Blocks of the third stage, channels of the last.
local sizes = { tiny = { 9, 768 }, small = { 27, 768 }, base = { 27, 1024 },
                large = { 27, 1536 }, xlarge = { 27, 2048 } }


---Layers that Keras puts into a Sequential of that name.
local function within(g, name, add)
  g.within = name
  add()
  g.within = nil
end


---@param p string   "convnext_tiny_stage_0_block_0"
local function block(g, p)
  local from = g.last
  g:conv(p .. "_depthwise_conv", 7, { bias = true })
  g:ln(p .. "_layernorm", 1e-6)
  g:add("Dense", { activation = "linear" }, nil, p .. "_pointwise_conv_1")
  g:act("gelu", p .. "_gelu")
  g:add("Dense", { activation = "linear" }, nil, p .. "_pointwise_conv_2")
  g:add("LayerScale", {}, nil, p .. "_layer_scale")
  g:act("linear", p .. "_identity")
  g:join("Add", { from, g.last })
end


local function build(g, name, depth, is_top)
  g:add("Normalization", { axis = -1, mean = { 0.485 * 255, 0.456 * 255, 0.406 * 255 },
    variance = { (0.229 * 255) ^ 2, (0.224 * 255) ^ 2, (0.225 * 255) ^ 2 } })
  for stage, repeats in ipairs { 3, 3, depth, 3 } do
    local at = stage - 2
    if stage == 1 then
      within(g, name .. "_stem", function()
        g:conv(name .. "_stem_conv", 4, { s = 4, padding = "valid", bias = true })
        g:ln(name .. "_stem_layernorm", 1e-6)
      end)
    else
      within(g, ("%s_downsampling_block_%d"):format(name, at), function()
        g:ln(("%s_downsampling_layernorm_%d"):format(name, at), 1e-6)
        g:conv(("%s_downsampling_conv_%d"):format(name, at), 2,
               { s = 2, padding = "valid", bias = true })
      end)
    end
    for i = 0, repeats - 1 do
      block(g, ("%s_stage_%d_block_%d"):format(name, stage - 1, i))
    end
  end
  if is_top then g:add("GlobalAveragePooling2D", {}) end
  g:ln(is_top and name .. "_head_layernorm" or nil, 1e-6)
end


for size, row in pairs(sizes) do
  local name = "convnext_" .. size
  M[name] = { last = row[2],
    build = function(g, has)
      build(g, name, row[1], has(name .. "_head_layernorm"))
    end,
    pooled = function(has) return has(name .. "_head_layernorm") end,
    input = function() return "pictures of 0..255 (include_preprocessing)" end }
end

return M
