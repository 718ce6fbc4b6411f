---Baselines: pictures in which nothing is there, against which others are explained.
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local blur = require "lunette.tensors.blur"
local options = require "lunette.base.options"
local progress = require "lunette.base.progress"
local suggest = require "lunette.base.suggest"

local M = {}

---The option of methods that take one baseline or the mean over several.
M.option = options.opt.baseline("zero", "zero, mean, blur, noise, black, a number, "
  .. "tensor; or a list of them")

---What a name means, for pictures x (N,C,H,W) as the network takes them.
local named = {
  zero = function(_, x) return core.zeros(x:shape()) end,
  mean = function(_, x)
    return x:mean { dims = { 3, 4 }, keepdims = true }:expand { shape = x:shape() }
  end,
  blur = function(_, x) return blur(x, x:dim(3) / 20) end,
  noise = function(_, x) -- the same for all pictures
    local s = x:shape()
    return core.normal(0, 0, 1, table.unpack(s, 2)):expand { shape = s }
  end,
  black = function(net, x)
    local pictures = require "lunette.picture.image"
    local s = x:shape()
    local one = core.zeros(s[2], s[3], s[4])
    return pictures.preprocess({ one }, net.preprocessing, { s[3], s[4] })
      :expand { shape = s }
  end,
}

---Their names.
M.names = { "zero", "mean", "blur", "noise", "black" }


local function of_name(what, net, x)
  if named[what] then return named[what](net, x) end
  blame(("baseline '%s' not found%s (there are: %s; a number, a tensor)"):format(what,
        suggest.after(what, M.names), table.concat(M.names, ", ")))
end


---A picture (C,H,W), a colour (C,1,1) or a batch, for all of x.
local function of_tensor(t, x)
  local s = x:shape()
  local got = t:shape()
  if #got == #s - 1 then t = t:view(1, table.unpack(got)) end
  local ok, b = pcall(t.expand, t, { shape = s })
  if ok then return b end
  blame(("baseline: a tensor (%s) does not fit pictures (%s)"):format(
        table.concat(got, ","), table.concat(s, ",")))
end


---The baseline of every picture: "zero", "mean" (of the picture's channels), "blur"
---(sigma: a twentieth of its height), "noise" (normal), "black" (of the file, before
---preprocessing), a number, a tensor (C,H,W), (C,1,1) or (N,C,H,W), or a function of
---the pictures.
---@param what any
---@param net lunette.Net
---@param x lunette.Tensor   (N,C,H,W) or (N,K,h,w), values of a layer
---@return lunette.Tensor    of x's shape
function M.of(what, net, x)
  if type(what) == "function" then what = what(x) end
  if options.is_tensor(what) then return of_tensor(what, x) end
  if type(what) == "number" then
    if what ~= what or math.abs(what) > 3e38 then
      blame("baseline: a number is finite, got " .. tostring(what))
    end
    return core.full(what, x:shape())
  end
  if type(what) == "string" then return of_name(what, net, x) end
  blame("baseline: expected a name, a number, a tensor or a function, got "
        .. type(what))
end


---The baselines that an option means: a list of them, or the one.
---@param what any
---@return any[]
function M.list(what)
  local list = type(what) == "table" and what or { what }
  if #list == 0 then blame "baseline: the list is empty" end
  return list
end


---The mean of the maps of several baselines, and of each picture's deltas the largest.
---@param run lunette.Run
---@param o table   options of a method: baseline (one, or a list), progress
---@param of fun(base: lunette.Tensor, wish: any): lunette.Tensor, number[]?   map and
---  deltas of one; wish: the option `progress` of its part of the work
---@return lunette.Tensor map
---@return table facts   `delta`, where there are any
function M.mean(run, o, of)
  local list, mean, worst = M.list(o.baseline), nil, {}
  for b, one in ipairs(list) do
    local map, delta = of(M.of(one, run.net, run.images),
                          progress.part(o.progress, b, #list))
    for i, d in ipairs(delta or {}) do
      if math.abs(d) >= math.abs(worst[i] or 0) then worst[i] = d end
    end
    mean = mean and mean * ((b - 1) / b) + map * (1 / b) or map
  end
  return mean, { delta = #worst > 0 and worst or nil }
end


---Baselines that do not depend on the picture.
local fixed = { zero = true, noise = true, black = true }


---The baseline (1,C,H,W) of pictures that are not known yet; raises for one that
---depends on them.
---@param what any
---@param net lunette.Net
---@param shape integer[]   (C,H,W)
---@return lunette.Tensor
function M.of_one(what, net, shape)
  if type(what) == "function" or type(what) == "string" and named[what]
     and not fixed[what] then
    blame(("baseline '%s' depends on the picture, which is not known here"):format(
          type(what) == "string" and what or "function"))
  end
  return M.of(what, net, core.zeros(1, table.unpack(shape)))
end

return M
