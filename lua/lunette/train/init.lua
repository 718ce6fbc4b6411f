---Training: losses on a tape, optimisers, a schedule, and a loop that keeps
---checkpoints, so that a run which is killed goes on as if nothing had happened,
---bit for bit.
local blame = require "lunette.base.blame"
local checkpoint = require "lunette.base.checkpoint"
local core = require "lunette.core"
local layers = require "lunette.layers"
local modifiers = require "lunette.modifiers"
local optimisers = require "lunette.base.optimisers"
local options = require "lunette.base.options"
local strict = require "lunette.base.strict"

local M = {}


-- losses -------------------------------------------------------------------------


---Cross-entropy of a softmax, mean over samples: -sum_k q_k log softmax(z)_k.
---@param logits lunette.Tensor   (N,K), on a tape
---@param target integer[]|lunette.Tensor   class ids from 0, or weights q (N,K)
---@return lunette.Tensor   one value, on the same tape
function M.cross_entropy(logits, target)
  local n, k = logits:dim(1), logits:dim(2)
  local log_p = logits:log_softmax(2)
  if type(target) ~= "table" then
    return (log_p * target):sum() * (-1 / n)
  end
  if #target ~= n then
    blame(("cross_entropy: %d classes for %d samples; one id a sample, { 3, 7 }"
          ):format(#target, n))
  end
  local index = {}
  for i, id in ipairs(target) do
    if id < 0 or id >= k then
      blame(("cross_entropy: class %s is outside 0 .. %d"):format(id, k - 1))
    end
    index[i] = { id + 1 }
  end
  return log_p:gather(core.tensor(index), { dim = 2 }):mean() * -1
end


-- optimisers ---------------------------------------------------------------------


---@class lunette.Optimiser
---@field params table<string, lunette.Tensor>   changed in place
---@field state table<string, lunette.Tensor>    moments: "m.NAME", "v.NAME"
---@field steps integer                          taken so far
local Optimiser = strict.class("optimiser", {})
Optimiser.__index = Optimiser


---Changes every parameter that has a gradient.
---@param gradients table<string, lunette.Tensor>   by parameter name
---@param how? { rate?: number, scale?: number }    instead of the options' own;
---  `scale` multiplies the gradients
function Optimiser:step(gradients, how)
  self.steps = self.steps + 1
  local o = {}
  for key, value in pairs(self.options) do o[key] = value end
  for key, value in pairs(how or {}) do o[key] = value end
  o.step = self.steps
  for name, p in pairs(self.params) do
    if gradients[name] then
      local kept = {}
      for i, k in ipairs(self.row.keeps) do kept[i] = self.state[k .. "." .. name] end
      self.row.take(p, gradients[name], kept, o)
    end
  end
end


local function optimiser(params, opts, which)
  local self = setmetatable({ params = params, options = opts, state = {}, steps = 0,
                              row = optimisers.rows[which] }, Optimiser)
  for name, p in pairs(params) do
    for i, t in ipairs(optimisers.state(which, p)) do
      self.state[self.row.keeps[i] .. "." .. name] = t
    end
  end
  return self
end


---Adam (Kingma & Ba 2015) with decoupled weight decay (Loshchilov & Hutter 2019).
---@param params table<string, lunette.Tensor>
---@param opts? { rate?: number, beta1?: number, beta2?: number, eps?: number,
---  decay?: number }
---@return lunette.Optimiser
function M.adam(params, opts)
  opts = options.check("adam", opts, { rate = 1e-3, beta1 = 0.9, beta2 = 0.999,
                                       eps = 1e-8, decay = 0 })
  return optimiser(params, opts, "adam")
end


---Gradient descent with momentum (Polyak 1964, as PyTorch writes it):
---v = momentum v + g + decay p, p = p - rate v.
---@param params table<string, lunette.Tensor>
---@param opts? { rate?: number, momentum?: number, decay?: number }
---@return lunette.Optimiser
function M.sgd(params, opts)
  opts = options.check("sgd", opts, { rate = 1e-2, momentum = 0.9, decay = 0 })
  return optimiser(params, opts, "sgd")
end


---The factor that brings the gradients' common norm down to `limit`, and the norm
---(Pascanu, Mikolov & Bengio 2013).
---@param gradients table<string, lunette.Tensor>
---@param limit number
---@return number scale, number norm
function M.clip(gradients, limit)
  local names, sum = {}, 0
  for name in pairs(gradients) do names[#names + 1] = name end
  table.sort(names) -- a sum in another order would have other bits
  for _, name in ipairs(names) do sum = sum + gradients[name]:stats().l2 ^ 2 end
  local norm = sum ^ 0.5
  return norm > limit and limit / norm or 1, norm
end


---Learning rate by step: a linear warm-up, then half a cosine down to `last`.
---@param opts { steps: integer, rate: number, warmup?: integer, last?: number }
---@return fun(step: integer): number   steps count from 1
function M.schedule(opts)
  opts = options.check("schedule", opts, { steps = 1, rate = 1e-3, warmup = 0,
                                           last = 0 })
  return function(step)
    if step <= opts.warmup then return opts.rate * step / opts.warmup end
    local t = math.min(1, (step - opts.warmup) / math.max(1, opts.steps - opts.warmup))
    return opts.last + (opts.rate - opts.last) * 0.5 * (1 + math.cos(math.pi * t))
  end
end


-- beginning ----------------------------------------------------------------------


---Mean and deviation of every channel of (N,C) or (N,C,H,W), as lists.
local function channel_stats(y)
  local dims = y:dim() == 4 and { 1, 3, 4 } or { 1 }
  local mean = y:mean { dims = dims, keepdims = true }
  local variance = (y - mean):square():mean { dims = dims, keepdims = true }
  return mean, (variance + 1e-8):sqrt()
end


---Gives every unit of every convolution and dense layer mean 0 and deviation 1 over
---the sample x before its activation, layer after layer (Kraehenbuehl et al. 2016,
---"Data-dependent initializations"; Salimans & Kingma 2016, section 3). A deep
---network without normalisation hardly learns from anything less: its pictures all
---look alike to the last layers. The last layer is scaled by `last`, so that the
---first guesses are humble.
---@param net lunette.Net       with some initial weights, changed in place
---@param x lunette.Tensor      (N,C,H,W), preprocessed
---@param opts? { from?: string, last?: number }   from: the first layer to change
---  (all are); last: 0.1
function M.calibrate(net, x, opts)
  opts = options.check("calibrate", opts, { from = false, last = 0.1 })
  local list, on = {}, not opts.from
  for _, layer in ipairs(net:layers()) do
    on = on or layer.name == opts.from
    if on and layers.is(layer, "weighted") then list[#list + 1] = layer end
  end
  for i, layer in ipairs(list) do
    local run = net:run(x, { modifiers = { modifiers.extract(layer.name) } })
    local mean, deviation = channel_stats(run:preactivation(layer.name))
    local w, b = net.params[layer.name .. ".weight"], net.params[layer.name .. ".bias"]
    local shape = w:shape()
    for d = 2, #shape do shape[d] = 1 end
    local factor = (i == #list and opts.last or 1)
      / deviation:view(deviation:size())
    w:copy_(w * factor:view(shape))
    b:copy_((b - mean:view(b:size())) * factor)
    run:release()
  end
end


-- checkpoints --------------------------------------------------------------------


---What a checkpoint holds: parameters and moments by name.
local function tensors_of(opt)
  if type(opt.params) ~= "table" or type(opt.state) ~= "table" then
    blame "train: an optimiser expected; lu.train.adam(net.params) makes one"
  end
  local all = {}
  for name, t in pairs(opt.params) do all["p." .. name] = t end
  for name, t in pairs(opt.state) do all[name] = t end
  return all
end


---Writes parameters, moments and the number of steps; the file is replaced whole.
---@param path string
---@param opt lunette.Optimiser
---@param meta? table<string, string>
---@return true? ok, string? message
function M.save(path, opt, meta)
  return checkpoint.save(path, "a training", tensors_of(opt),
                         { steps = opt.steps, meta = meta or {} })
end


---Takes up what `save` wrote, in place. A file of another network is refused.
---@param path string
---@param opt lunette.Optimiser
---@return table<string, string>? meta, string? message
function M.resume(path, opt)
  local about, message = checkpoint.resume(path, "a training", tensors_of(opt))
  if not about then return nil, message end
  opt.steps = about.steps
  return about.meta
end


-- the loop -----------------------------------------------------------------------


---What layer `name` says of x, for trainings that leave it and all before it as they
---are: computed once, it may be asked in every step (`begun` of `step` and `fit`).
---@param net lunette.Net
---@param name string
---@param x lunette.Tensor   (N,C,H,W), preprocessed
---@return lunette.Tensor
function M.features(net, name, x)
  local below <close> = net:run(x, { modifiers = { modifiers.extract(name) },
                                     keep = false })
  return below.output:detach()
end


---A run that watches its parameters: all, or those after layer `frozen`, of which x is
---the output where it has `begun`.
local function watching(net, x, frozen, begun)
  local how = { modifiers = { "linear" }, watch = "parameters" }
  if not frozen then return net:run(x, how) end
  return net:run_from(frozen, begun and x or M.features(net, frozen, x), how)
end


---One step: forward, loss, gradients, update.
---@param net lunette.Net
---@param opt lunette.Optimiser   over net.params
---@param x lunette.Tensor        (N,C,H,W), preprocessed
---@param target any              see cross_entropy
---@param how? { rate?: number, clip?: number, frozen?: string, begun?: boolean,
---  gradients?: fun(g) }
---  frozen: a layer; it and all before it stay as they are, which saves their
---  gradients. begun: x is the output of that layer. gradients: changes those of all
---  others in place, before clipping
---@return number loss, number norm   of all gradients together, before clipping
function M.step(net, opt, x, target, how)
  how = how or {}
  local run <close> = watching(net, x, how.frozen, how.begun)
  local loss = M.cross_entropy(run.output, target)
  local value = loss:item()
  local gradients = run:parameter_gradients(loss)
  if how.gradients then how.gradients(gradients) end
  local scale, norm = M.clip(gradients, how.clip or math.huge)
  opt:step(gradients, { rate = how.rate, scale = scale })
  loss:release()
  return value, norm
end


local function clock(seconds)
  return ("%d:%02d:%02d"):format(seconds // 3600, seconds // 60 % 60, seconds % 60)
end


---@class lunette.FitOptions
---@field steps integer            in all, those of earlier runs included
---@field batch fun(step: integer): lunette.Tensor, any   input and target of a step
---@field rate? fun(step: integer): number
---@field clip? number             limit of the gradients' norm
---@field frozen? string           layer: it and those before it stay as they are
---@field begun? boolean          batches are outputs of layer `frozen`
---@field gradients? fun(g: table<string, lunette.Tensor>)   changes them in place
---@field checkpoint? string       path; resumed from where it exists
---@field every? integer           steps between checkpoints (200)
---@field log? fun(line: string)   a line every `report` steps
---@field report? integer          (50)

---Continues from the checkpoint, if there is one.
local function take_up(opt, opts)
  if not checkpoint.exists(opts.checkpoint) then return true end
  local meta, message = M.resume(opts.checkpoint, opt)
  if not meta then return nil, message end
  if opts.log then opts.log(("resumed at step %d"):format(opt.steps)) end
  return true
end


---A line of progress now and then: mean loss since the last one, time left.
local function reporter(opt, opts)
  local start, first, sum, count = core.clock(), opt.steps, 0, 0
  return function(step, loss, norm)
    sum, count = sum + loss, count + 1
    if not opts.log or (step % opts.report ~= 0 and step ~= opts.steps) then return end
    local each = (core.clock() - start) / (step - first)
    opts.log(("step %d of %d  loss %.4f  norm %.2f  %.0f ms a step  %s left"):format(
      step, opts.steps, sum / count, norm, 1000 * each,
      clock(math.floor(each * (opts.steps - step)))))
    sum, count = 0, 0
  end
end


---Trains until `steps` are done. A batch may depend on nothing but its step: then
---a killed and resumed training ends with the same bits.
---@param net lunette.Net
---@param opt lunette.Optimiser
---@param opts lunette.FitOptions
---@return true? ok, string? message   nil: the checkpoint could not be read or written
function M.fit(net, opt, opts)
  opts = options.check("fit", opts, { steps = 1, batch = false, rate = false,
                       clip = math.huge, frozen = false, begun = false,
                       gradients = false,
                       checkpoint = false, every = 200, log = false, report = 50 })
  local ok, message = take_up(opt, opts)
  if not ok then return nil, message end
  local report = reporter(opt, opts)
  while opt.steps < opts.steps do
    local step = opt.steps + 1
    local x, target = opts.batch(step)
    local loss, norm = M.step(net, opt, x, target, {
      clip = opts.clip, frozen = opts.frozen or nil, begun = opts.begun,
      gradients = opts.gradients or nil, rate = opts.rate and opts.rate(step) or nil })
    report(step, loss, norm)
    if opts.checkpoint and (step % opts.every == 0 or step == opts.steps) then
      ok, message = M.save(opts.checkpoint, opt)
      if not ok then return nil, message end
    end
  end
  return true
end

return M
