---Words of other libraries, and what is meant by them here: for messages about names
---that are not there.
local M = {}

local options = {
  class_idx = "score", class_index = "score", class_id = "score", target = "score",
  target_class = "score", category = "score", target_category = "score",
  label = "score", target_layers = "layer", penultimate_layer = "layer",
  epsilon = "eps", epsilons = "eps", stdevs = "noise", stdev_spread = "noise",
  nt_samples = "samples", n_samples = "samples", num_samples = "samples",
  perturbations_per_eval = "batch", internal_batch_size = "batch", batch_size = "batch",
  baselines = "baseline", lr = "rate", learning_rate = "rate", epochs = "steps",
  num_steps = "steps", n_steps = "steps", iterations = "steps",
  sliding_window_shapes = "window", strides = "stride", cmap = "colormap",
}

local functions = {
  cat = "lu.concat(list, dim)", rand = "lu.uniform(shape)", randn = "lu.normal(shape)",
  load_model = "lu.load(name)", from_numpy = "lu.npy.read(file), lu.tensor(list)",
  array = "lu.tensor(list)", Tensor = "lu.tensor(list)", imread = "lu.image.load(file)",
  open = "lu.image.load(file), lu.load(name)", imshow = "lu.show(x)",
  imsave = "lu.image.save(picture, file)", plot = "lu.canvas()",
}

local methods = {
  backward = "run:gradient { score = ... }, lu.gradient(f, x)",
  forward = "net:run(x)", predict = "net:run(x):top()", __call = "net:run(x)",
  eval = "nothing: networks here are always ready to be run",
  numpy = "x:totable(), lu.npy.write(file, x)", tolist = "x:totable()",
  cpu = "nothing: tensors are in the processor's memory", cuda = "nothing: as cpu",
  to = "nothing: tensors are float32 in the processor's memory",
  float = "nothing: tensors are float32", requires_grad_ = "lu.gradient(f, x)",
  requires_grad = "lu.gradient(f, x)", state_dict = "net.params",
  load_state_dict = "lu.load(file)", named_parameters = "pairs(net.params)",
  parameters = "pairs(net.params)", named_modules = "net:layers()",
  softmax_ = "x:softmax()", amax = "x:max { dims = ... }",
  amin = "x:min { dims = ... }", ndim = "x:dim()", size = "x:shape()",
  astype = "nothing: tensors are float32", T = "x:transpose(1, 2)",
}


---The option that an option of another library is here, where there is one.
---@param word string
---@return string?
function M.option(word) return options[word] end


---What does here what a name of another library does there: code, or a remark.
---@param word string
---@param is_library boolean   a function of the library, not of an object
---@return string?
function M.name(word, is_library)
  return (is_library and functions or methods)[word]
end

return M
