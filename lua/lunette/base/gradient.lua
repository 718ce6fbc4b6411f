local blame = require "lunette.base.blame"
local core = require "lunette.core"

---The gradient of any function of a tensor, made of tensor operators: no tape to keep,
---nothing stays behind.
---Example:
---  local x = lu.tensor { 1, 2, 3 }
---  local g, value = lu.gradient(function(v) return (v * v):sum() end, x)
---  print(g, value) -- 2 x, and 14
---@param f fun(x: lunette.Tensor): lunette.Tensor   computed from its argument
---@param x lunette.Tensor
---@param seed? lunette.Tensor   d result / d f(x), of f(x)'s shape (ones: the gradient
---  of the sum)
---@return lunette.Tensor gradient, lunette.Tensor value
return function(f, x, seed)
  local tape <close> = core.tape()
  local leaf = tape:watch(x)
  local y = f(leaf)
  if type(y) ~= "userdata" or not y.node or not y:node() then
    blame("gradient: the function returned " .. type(y)
          .. ", expected a tensor computed from its argument")
  end
  local g = core.backward(y, seed or core.ones(y:shape()), { leaf:node() })[1]
  return g or core.zeros(x:shape()), y:detach():clone()
end
