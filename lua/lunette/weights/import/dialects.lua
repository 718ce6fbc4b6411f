---Names that other libraries give the modules of torchvision's networks, where their
---networks compute the same: only the names differ. Each dialect is known by a module
---that no other has. Letters in braces are numbers: {s} a stage, {i} a unit, {k} a
---layer; in what a name becomes they are counted on: {s+1}, {i-1}, {2s}, {2s+1}.
local stages = require "lunette.weights.import.stages"

local M = {}

---@class lunette.import.Dialect
---@field whose string      "Hugging Face"
---@field known_by string   a module that has a weight
---@field word? string      before the body's names, not the head's: it is left out
---@field eps? number       of its norms, where it is not torchvision's
---@field rules? string[][]  { name, torchvision's }; the first that fits counts
---@field rename? fun(list: table[]): table?   instead of rules (stages.lua)
---@field twins? string[]   patterns of those networks of which there is a second one of
---  the same names and shapes, as TensorFlow pads and normalises: --arch tf_NAME

---@type lunette.import.Dialect[]
local dialects = {
  { whose = "Hugging Face", known_by = "embedder.embedder.convolution",
    word = "resnet", rules = {
      { "embedder.embedder.convolution", "conv1" },
      { "embedder.embedder.normalization", "bn1" },
      { "encoder.stages.{s}.layers.{i}.layer.{k}.convolution",
        "layer{s+1}.{i}.conv{k+1}" },
      { "encoder.stages.{s}.layers.{i}.layer.{k}.normalization",
        "layer{s+1}.{i}.bn{k+1}" },
      { "encoder.stages.{s}.layers.{i}.shortcut.convolution",
        "layer{s+1}.{i}.downsample.0" },
      { "encoder.stages.{s}.layers.{i}.shortcut.normalization",
        "layer{s+1}.{i}.downsample.1" },
      { "classifier.1", "fc" } } },
  { whose = "Hugging Face", known_by = "encoder.stages.0.layers.0.dwconv",
    word = "convnext", rules = {
      { "embeddings.patch_embeddings", "features.0.0" },
      { "embeddings.layernorm", "features.0.1" },
      { "encoder.stages.{s}.downsampling_layer.{k}", "features.{2s}.{k}" },
      { "encoder.stages.{s}.layers.{i}.layer_scale_parameter",
        "features.{2s+1}.{i}.layer_scale" },
      { "encoder.stages.{s}.layers.{i}.dwconv", "features.{2s+1}.{i}.block.0" },
      { "encoder.stages.{s}.layers.{i}.layernorm", "features.{2s+1}.{i}.block.2" },
      { "encoder.stages.{s}.layers.{i}.pwconv1", "features.{2s+1}.{i}.block.3" },
      { "encoder.stages.{s}.layers.{i}.pwconv2", "features.{2s+1}.{i}.block.5" },
      { "layernorm", "classifier.0" },
      { "classifier", "classifier.2" } } },
  { whose = "timm", known_by = "stages.0.blocks.0.conv_dw", rules = {
      { "stem.{k}", "features.0.{k}" },
      { "stages.{s}.downsample.{k}", "features.{2s}.{k}" },
      { "stages.{s}.blocks.{i}.gamma", "features.{2s+1}.{i}.layer_scale" },
      { "stages.{s}.blocks.{i}.conv_dw", "features.{2s+1}.{i}.block.0" },
      { "stages.{s}.blocks.{i}.norm", "features.{2s+1}.{i}.block.2" },
      { "stages.{s}.blocks.{i}.mlp.fc1", "features.{2s+1}.{i}.block.3" },
      { "stages.{s}.blocks.{i}.mlp.fc2", "features.{2s+1}.{i}.block.5" },
      { "head.norm", "classifier.0" },
      { "head.fc", "classifier.2" } } },
  { whose = "ConvNeXt's authors", known_by = "downsample_layers.0.0", rules = {
      { "downsample_layers.{s}.{k}", "features.{2s}.{k}" },
      { "stages.{s}.{i}.gamma", "features.{2s+1}.{i}.layer_scale" },
      { "stages.{s}.{i}.dwconv", "features.{2s+1}.{i}.block.0" },
      { "stages.{s}.{i}.norm", "features.{2s+1}.{i}.block.2" },
      { "stages.{s}.{i}.pwconv1", "features.{2s+1}.{i}.block.3" },
      { "stages.{s}.{i}.pwconv2", "features.{2s+1}.{i}.block.5" },
      { "norm", "classifier.0" },
      { "head", "classifier.2" } } },
  { whose = "timm", known_by = "blocks.0.attn.qkv", rules = {
      { "patch_embed.proj", "conv_proj" },
      { "cls_token", "class_token" },
      { "pos_embed", "encoder.pos_embedding" },
      { "blocks.{i}.norm{k}", "encoder.layers.encoder_layer_{i}.ln_{k}" },
      { "blocks.{i}.attn.qkv",
        "encoder.layers.encoder_layer_{i}.self_attention.in_proj" },
      { "blocks.{i}.attn.proj",
        "encoder.layers.encoder_layer_{i}.self_attention.out_proj" },
      { "blocks.{i}.mlp.fc1", "encoder.layers.encoder_layer_{i}.mlp.0" },
      { "blocks.{i}.mlp.fc2", "encoder.layers.encoder_layer_{i}.mlp.3" },
      { "norm", "encoder.ln" },
      { "head", "heads.head" } } },
  { whose = "Hugging Face", known_by = "embeddings.patch_embeddings.projection",
    word = "vit", eps = 1e-12, rules = {
      { "embeddings.patch_embeddings.projection", "conv_proj" },
      { "embeddings.cls_token", "class_token" },
      { "embeddings.position_embeddings", "encoder.pos_embedding" },
      { "encoder.layer.{i}.layernorm_before", "encoder.layers.encoder_layer_{i}.ln_1" },
      { "encoder.layer.{i}.layernorm_after", "encoder.layers.encoder_layer_{i}.ln_2" },
      { "encoder.layer.{i}.attention.attention.query",
        "encoder.layers.encoder_layer_{i}.self_attention.query.proj" },
      { "encoder.layer.{i}.attention.attention.key",
        "encoder.layers.encoder_layer_{i}.self_attention.key.proj" },
      { "encoder.layer.{i}.attention.attention.value",
        "encoder.layers.encoder_layer_{i}.self_attention.value.proj" },
      { "encoder.layer.{i}.attention.output.dense",
        "encoder.layers.encoder_layer_{i}.self_attention.out_proj" },
      { "encoder.layer.{i}.intermediate.dense",
        "encoder.layers.encoder_layer_{i}.mlp.0" },
      { "encoder.layer.{i}.output.dense", "encoder.layers.encoder_layer_{i}.mlp.3" },
      { "layernorm", "encoder.ln" },
      { "classifier", "heads.head" } } },
  { whose = "timm", known_by = "s1.b1.conv1.conv", rules = {
      { "stem.conv", "stem.0" },
      { "stem.bn", "stem.1" },
      { "s{s}.b{i}.conv1.conv", "trunk_output.block{s}.block{s}-{i-1}.f.a.0" },
      { "s{s}.b{i}.conv1.bn", "trunk_output.block{s}.block{s}-{i-1}.f.a.1" },
      { "s{s}.b{i}.conv2.conv", "trunk_output.block{s}.block{s}-{i-1}.f.b.0" },
      { "s{s}.b{i}.conv2.bn", "trunk_output.block{s}.block{s}-{i-1}.f.b.1" },
      { "s{s}.b{i}.conv3.conv", "trunk_output.block{s}.block{s}-{i-1}.f.c.0" },
      { "s{s}.b{i}.conv3.bn", "trunk_output.block{s}.block{s}-{i-1}.f.c.1" },
      { "s{s}.b{i}.se.fc{k}", "trunk_output.block{s}.block{s}-{i-1}.f.se.fc{k}" },
      { "s{s}.b{i}.downsample.conv", "trunk_output.block{s}.block{s}-{i-1}.proj.0" },
      { "s{s}.b{i}.downsample.bn", "trunk_output.block{s}.block{s}-{i-1}.proj.1" },
      { "head.fc", "fc" } } },
  { whose = "timm", known_by = "blocks.0.0.conv_dw", rename = stages.rename,
    twins = { "^efficientnet", "^mobilenet_v3" } },
}


---The pattern of a rule's name at the end of another, and the letters of its numbers.
local function pattern_of(name)
  local letters = {}
  local pattern = name:gsub("%.", "%%."):gsub("{(%a)}", function(letter)
    letters[#letters + 1] = letter
    return "(%d+)"
  end)
  return "^(.-)%f[%w_]" .. pattern .. "$", letters
end


---torchvision's name of a module, or nil where the rule is of another.
local function renamed(module, rule)
  local pattern, letters = pattern_of(rule[1])
  local found = { module:match(pattern) }
  if not found[1] then return nil end
  local value = {}
  for i, letter in ipairs(letters) do value[letter] = math.tointeger(found[i + 1]) end
  return found[1] .. rule[2]:gsub("{(%d?)(%a)([+-]?%d?)}", function(times, letter, more)
    return tostring((tonumber(times) or 1) * value[letter] + (tonumber(more) or 0))
  end)
end


---torchvision's name of a tensor; others stay. What a rule names is a module or, as
---`cls_token` and `gamma`, a tensor.
local function translated(name, dialect)
  if dialect.word then
    name = name:gsub("%f[%w_]" .. dialect.word .. "%.", "", 1)
  end
  local module, key = name:match "^(.*)%.([^.]+)$"
  for _, rule in ipairs(dialect.rules) do
    local one = module and renamed(module, rule)
    if one then return one .. (one:find "%.in_proj$" and "_" or ".") .. key end
    one = renamed(name, rule)
    if one then return one end
  end
  return name
end


---The dialect that a tensor's name is of, or nil.
local function dialect_of(name)
  for _, dialect in ipairs(dialects) do
    local known = dialect.known_by .. ".weight"
    local before = name:sub(1, -#known - 1)
    if name:sub(-#known) == known and (before == "" or before:sub(-1) == ".") then
      return dialect
    end
  end
  return nil
end


---What a dialect's networks have else than torchvision's.
---@param dialect? lunette.import.Dialect
---@param given lunette.import.Given
---@return { eps?: number, ends?: string }? settings, string? message
function M.settings(dialect, given)
  local twins = dialect and dialect.twins
  if given.tensorflow and not twins then
    return nil, ("--arch tf_%s is for files with timm's names"):format(given.arch)
  elseif given.tensorflow then
    return { eps = 1e-3, ends = "same" }
  end
  return { eps = dialect and (dialect.eps or twins and 1e-5) }
end


---Is it settled which of two networks one is? Else an error that lists both.
---@param dialect? lunette.import.Dialect
---@param given lunette.import.Given
---@param name string   the network
---@return true? ok, string? message
function M.decided(dialect, given, name)
  local has_twin = false
  for _, pattern in ipairs(dialect and dialect.twins or {}) do
    has_twin = has_twin or name:find(pattern) ~= nil
  end
  if given.tensorflow and not has_twin then
    return nil, ("timm has no tf_%s"):format(name)
  elseif has_twin and not given.arch then
    return nil, ("timm has two networks of these names and shapes, which pad "
      .. "otherwise: say --arch %s, or --arch tf_%s (timm's tf_...)"):format(name, name)
  end
  return true
end


---Gives tensors torchvision's names, where they have those of a dialect.
---@param list { name: string, tensor: table }[]   renamed in place
---@return lunette.import.Dialect?   whose names they were
function M.translate(list)
  local dialect
  for _, t in ipairs(list) do dialect = dialect or dialect_of(t.name) end
  if not dialect then return nil end
  if dialect.rename then return dialect.rename(list) and dialect end
  for _, t in ipairs(list) do t.name = translated(t.name, dialect) end
  return dialect
end

return M
