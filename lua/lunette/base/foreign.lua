---Words of other libraries, and what is meant by them here: for messages about names
---that are not there.
local M = {}

---Options elsewhere -> what they may be here: the first that a function takes.
local options = {
  feature_mask = "segments", n_segments = "segments", superpixels = "segments",
  n_perturb_samples = "samples", n_coalitions = "samples", n_masks = "samples",
  num_masks = "samples", N = "samples", n = "samples smooth_samples steps count most",
  class_idx = "score", class_index = "score", class_id = "score", target = "score",
  target_class = "score", category = "score", target_category = "score", y = "score",
  label = "score", loss = "score", targets = "classes score", labels = "classes titles",
  class = "classes score", classes = "score", class_name = "score", index = "score",
  target_layers = "layer", target_layer = "layer", penultimate_layer = "layer",
  layer_name = "layer", conv_layer = "layer", seek_penultimate_conv_layer = "layer",
  layers = "layer", filter = "channel score", filter_indices = "channel score",
  filters = "channel score", unit = "channel score", units = "channel score",
  neuron = "channel score", neuron_selector = "score", channels = "channel",
  epsilon = "eps", epsilons = "eps", stdevs = "noise smooth_noise",
  stdev_spread = "noise smooth_noise", sigma = "noise smooth_noise",
  std = "noise smooth_noise", stddev = "noise smooth_noise",
  nt_samples = "samples smooth_samples", n_samples = "samples smooth_samples",
  num_samples = "samples smooth_samples", noise = "smooth_noise",
  samples = "smooth_samples steps", perturbations_per_eval = "batch",
  internal_batch_size = "batch", batch_size = "batch", bs = "batch",
  baselines = "baseline", reference = "baseline", background = "baseline",
  blur = "baseline", lr = "rate", learning_rate = "rate", step_size = "rate",
  epochs = "steps", num_steps = "steps", n_steps = "steps", iterations = "steps",
  iters = "steps", n_iter = "steps", max_iter = "steps",
  sliding_window_shapes = "window", patch_size = "window", kernel = "window",
  dim = "dims", axis = "dims", axes = "dims", keepdim = "keepdims",
  kernel_size = "kernel", out_channels = "filters", out_features = "units",
  strides = "stride", max_N = "most top", max_n = "most top", topk = "top count",
  top_k = "top count", k = "top count most", rule = "composite", rules = "composite",
  cmap = "colormap", palette = "colormap", color_map = "colormap",
  ncols = "columns", ncol = "columns", cols = "columns", rows = "columns",
  suptitle = "title", name = "title", figsize = "scale cell", size = "side cell scale",
  width = "side cell scale", height = "side cell scale", dpi = "scale",
  normalise = "normalize", scale_by = "normalize", clip = "percentile",
  background_color = "background", opacity = "alpha", transparency = "alpha",
  random_state = "seed", random_seed = "seed", rng = "seed", verbose = "progress",
  path = "out", file = "out", filename = "out", output = "out", save = "out",
  backprop_modifier = "modifiers", modifier = "modifiers", rule_modifier = "modifiers",
  model_modifier = "modifiers", gradient_rule = "modifiers", hidden_layers = "layers",
  input_shape = "input", shape = "input", weights = "params",
}

local functions = {
  ig = "lu.integrated_gradients(run)", cam = "lu.gradcam(run)",
  guided_backprop = 'lu.saliency(run, { modifiers = { "guided" } })',
  deconvolution = 'lu.saliency(run, { modifiers = { "rectified" } })',
  shap = "lu.kernel_shap(run), lu.gradient_shap(run)",
  cat = "lu.concat(list, dim)", rand = "lu.uniform(shape)", randn = "lu.normal(shape)",
  load_model = "lu.load(name)", from_numpy = "lu.npy.read(file), lu.tensor(list)",
  array = "lu.tensor(list)", Tensor = "lu.tensor(list)", imread = "lu.image.load(file)",
  open = "lu.image.load(file), lu.load(name)", imshow = "lu.show(x)",
  imsave = "lu.image.save(file, picture)", plot = "lu.canvas()",
  CategoricalScore = "score = 3 (a class), lu.score.categorical(ids)",
  BinaryScore = "lu.score.binary(...)", InactiveScore = "lu.score.inactive()",
  ClassifierOutputTarget = "score = 3 (a class), lu.score.categorical(ids)",
  ClassifierOutputSoftmaxTarget = "score = 3, of a run without modifiers",
  ReplaceToLinear = 'net:run(x, { modifiers = { "linear" } })',
  GuidedBackpropagation = 'lu.saliency(run, { modifiers = { "guided" } })',
  GuidedBackprop = 'lu.saliency(run, { modifiers = { "guided" } })',
  ExtractIntermediateLayer = "run.LAYER, lu.extract(layer)",
  NoiseTunnel = "lu.smoothgrad(run), lu.saliency(run, { smooth_samples = 20 })",
  GradcamPlusPlus = "lu.gradcam_pp(run)", GradCAMPlusPlus = "lu.gradcam_pp(run)",
  LayerGradCam = "lu.gradcam(run, { layer = name })",
  LayerActivation = "run.LAYER", model = "lu.load(name)", Model = "lu.load(name)",
  Sequential = "lu.net { input =, layers = { ... } }", predict = "net:run(x):top()",
  no_grad = "nothing: a gradient is taken where it is asked for",
  manual_seed = "{ seed = 7 }, an option", device = "nothing: it is the processor",
  normalize = "net:images(paths), which does what the network wants",
  preprocess_input = "net:images(paths)", preprocess = "net:images(paths)",
  load_images = "net:images(paths)", images = "net:images(paths)",
  load_image = "lu.image.load(file), net:images(path)",
  load_img = "lu.image.load(file)",
  decode_predictions = "net:run(x):top(5)",
}

local methods = {
  backward = "run:gradient { score = ... }, lu.gradient(f, x)",
  forward = "net:run(x)", predict = "net:run(x):top()",
  detach_ = "x:detach()", item_ = "x:item()", __call = "net:run(x)",
  contiguous = "nothing: values lie in a row",
  eval = "nothing: networks here are always ready to be run",
  numpy = "x:totable(), lu.npy.write(file, x)", tolist = "x:totable()",
  cpu = "nothing: tensors are in the processor's memory", cuda = "nothing: as cpu",
  to = "nothing: tensors are float32 in the processor's memory",
  float = "nothing: tensors are float32", requires_grad_ = "lu.gradient(f, x)",
  requires_grad = "lu.gradient(f, x)", state_dict = "net.params",
  load_state_dict = "lu.load(file)", named_parameters = "pairs(net.params)",
  parameters = "pairs(net.params)", named_modules = "net:layers()",
  softmax_ = "x:softmax()", weight = "net.LAYER.weight: parameters are the network's",
  bias = "net.LAYER.bias: parameters are the network's",
  save = "lu.npy.write(file, x), lu.image.save(file, picture), lu.show(x, file), "
    .. "lu.save(net, file)",
  plot = "lu.show(x), lu.canvas()", imshow = "lu.show(x)", show = "lu.show(x)",
  amax = "x:max { dims = ... }",
  amin = "x:min { dims = ... }", ndim = "x:dim()", size = "x:shape()",
  register_forward_hook = "run.LAYER, what each layer put out",
  register_full_backward_hook =
    "lu.modifier { on = ..., backward = function(node, dy) ... end }",
  register_backward_hook = "lu.modifier { on = ..., backward = f }",
  get_layer = "net.LAYER, net:layer(name)",
  get_weights = "net.LAYER.weight, net.params",
  output = "the tensor itself: run.LAYER is what the layer put out",
  values = "the tensor itself; places are x:argmax(dim), x:argsort()",
  indices = "x:argmax(dim), x:argsort()",
  logits = 'run.output, where it was run with modifiers = { "linear" }',
  probs = "run:probabilities()",
  grad = "run:gradient { score = ... }, lu.gradient(f, x)",
  zero_grad = "nothing: gradients are values, none is kept",
  train = "lu.train.step(net, opt, x, target), lu.train.fit", fit = "lu.train.fit",
  compile = "nothing: networks here are always ready to be run",
  children = "net:layers()", modules = "net:layers()", shape_as_list = "x:shape()",
  astype = "nothing: tensors are float32", T = "x:transpose(1, 2)",
}


---Kinds of layers in Keras and torch, without case, and what they are called here.
local kinds = {
  dense = "linear", fc = "linear", fully_connected = "linear", maxpool = "max_pool2d",
  avgpool = "avg_pool2d", upsample = "interpolate", upsampling2d = "interpolate",
  zeropadding2d = "pad", padding = "pad", activation = "relu, or another by its name",
  globalaveragepooling2d = "global_avg_pool", adaptiveavgpool2d = "global_avg_pool",
  gap = "global_avg_pool", multiply = "mul", concatenate = "concat", bn = "batch_norm",
  conv2dtranspose = "conv_transpose2d", convtranspose2d = "conv_transpose2d",
  swish = "silu", depthwiseconv2d = "conv2d, groups = channels", sum = "add",
}


---What a kind of layer of another library is called here.
---@param word string
---@return string?
function M.kind(word) return kinds[word:lower()] end


---Libraries of another language, by the names that they go by.
M.libraries = { torch = true, torchvision = true, np = true, numpy = true, nn = true,
                plt = true, matplotlib = true, tf = true, keras = true, captum = true,
                cv2 = true, PIL = true, Image = true, pd = true, sklearn = true }


---Functions that other languages have without a library.
local globals = {
  len = "#list, x:size()", range = "for i = 1, n do ... end", str = "tostring(x)",
  int = "math.floor(x)", float = "tonumber(x)", abs = "math.abs(x), x:abs()",
  round = "math.floor(x + 0.5), x:round()", sum = "x:sum()", mean = "x:mean()",
  max = "math.max(a, b), x:max()", min = "math.min(a, b), x:min()",
  sorted = "table.sort(list), x:sort()", enumerate = "ipairs(list)",
  zip = "for i = 1, #a do ... end", isinstance = "type(x)", list = "{ ... }",
  dict = "{ name = value }", exit = "os.exit(), or Ctrl-D", quit = "Ctrl-D",
  dir = "help(x)", open = "io.open(file)", input = "io.read()", plot = "show(x)",
  imshow = "show(x)", exec = "load(text)", eval = "load(text)", printf = "print",
  echo = "print", f = '("%.2f"):format(x), where another language has f"{x}"',
  model = 'net = assert(lu.load(name)), and net:run(x)', img = "lu.image.load(file)",
  net = 'net = assert(lu.load "glyphs")', run = "run = net:run(images)",
  sleep = "os.execute \"sleep 1\"", array = "lu.tensor(list)",
}

---Methods of texts and lists in other languages.
local of_texts = {
  startswith = 's:find "^hen"', endswith = 's:find "hen$"', split = 's:gmatch "[^,]+"',
  strip = 's:match "^%s*(.-)%s*$"', replace = "s:gsub(old, new)", join = "table.concat",
  contains = "s:find(part, 1, true)", format_map = "s:format(...)",
  append = "list[#list + 1] = x", push = "list[#list + 1] = x", keys = "pairs(t)",
  items = "pairs(t)", values = "pairs(t)", length = "#s", len = "s:len(), #s",
  extend = "table.move", pop = "table.remove(list)", sort = "table.sort(list)",
  insert = "table.insert(list, x)", remove = "table.remove(list, i)",
}


---What a function or a method of another language is in plain Lua.
---@param word string
---@param is_method boolean   of a text or a list
---@return string?
function M.plain(word, is_method)
  return (is_method and of_texts or globals)[word]
end


---The option that an option of another library is here, where there is one.
---@param word string
---@param list string[]   options that there are
---@return string?
function M.option(word, list)
  local there = {}
  for _, name in ipairs(list) do there[name] = true end
  for meant in (options[word] or ""):gmatch "%S+" do
    if there[meant] then return meant end
  end
  return nil
end


---What does here what a name of another library does there: code, or a remark.
---@param word string
---@param is_library boolean   a function of the library, not of an object
---@return string?
function M.name(word, is_library)
  return (is_library and functions or methods)[word]
end

return M
