---Names that other libraries give the modules of torchvision's networks, where their
---networks compute the same: only the names differ. Each dialect is known by a module
---that no other has. Letters in braces are numbers: {s} a stage, {i} a unit, {k} a
---layer; in what a name becomes they are counted on: {s+1}, {2s}, {2s+1}.
local M = {}

---@class lunette.import.Dialect
---@field whose string      "Hugging Face"
---@field known_by string   a module that has a weight
---@field word? string      before the body's names, not the head's: it is left out
---@field rules string[][]  { name, torchvision's }; the first that fits counts

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
  return found[1] .. rule[2]:gsub("{(%d?)(%a)%+?(%d?)}", function(times, letter, more)
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


---Gives tensors torchvision's names, where they have those of a dialect.
---@param list { name: string, tensor: table }[]   renamed in place
---@return string? whose   whose names they were
function M.translate(list)
  local dialect
  for _, t in ipairs(list) do dialect = dialect or dialect_of(t.name) end
  if not dialect then return nil end
  for _, t in ipairs(list) do t.name = translated(t.name, dialect) end
  return dialect.whose
end

return M
