---Whole models in a pickle: their modules' classes say which activations and poolings
---there are, and must agree with the network that the tensors were taken for.
local M = {}

---Kinds that a module of torch computes by.
local kinds = {
  ReLU = { "relu" }, ReLU6 = { "relu6", "clamp" }, LeakyReLU = { "leaky_relu" },
  PReLU = { "minimum" }, ELU = { "elu" }, CELU = { "elu" }, SELU = { "elu" },
  GELU = { "gelu" }, SiLU = { "silu" }, Mish = { "softplus" }, Tanh = { "tanh" },
  Softplus = { "softplus" }, Hardswish = { "relu6" }, Hardsigmoid = { "relu6" },
  MaxPool2d = { "max_pool2d" }, AvgPool2d = { "avg_pool2d", "global_avg_pool" },
  AdaptiveMaxPool2d = { "global_max_pool", "max_pool2d" },
  BatchNorm2d = { "batch_norm" }, GroupNorm = { "group_norm" },
  InstanceNorm2d = { "instance_norm" }, LocalResponseNorm = { "local_response_norm" },
}


---Says of a whole model what it is; nil and a message where its modules are of another
---network than the one that was found.
---@param found table   with `modules` and `arch`
---@return true? ok, string? message
function M.check(found)
  if #found.modules == 0 then return true end
  local there = {}
  for _, layer in ipairs(found.arch.layers) do there[layer.kind or layer[2]] = true end
  for _, class in ipairs(found.modules) do
    local name = class:match "^torch%.nn%.modules%..*%.(%w+)$"
    local any = not kinds[name]
    for _, kind in ipairs(kinds[name] or {}) do any = any or there[kind] end
    if not any then
      return nil, ("it holds a whole model, with %s, which %s has not: describe it "
        .. "with --arch net.lua"):format(name, found.model)
    end
  end
  found.assumed[#found.assumed + 1] = ("a whole model (%s), whose code is not in the "
    .. "file: its tensors are read as its state dict"):format(found.modules[1])
  return true
end

return M
