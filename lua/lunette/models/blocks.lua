---What the tables of architectures share: a list of layers that grows, with the usual
---groups of convolution, batch norm and activation.
local Blocks = {}
Blocks.__index = Blocks

---@class lunette.Blocks
---@field layers table[]   as lu.net takes them
---@field last string      the name of the layer added last


---A channel count that eight divides, at most a tenth less than asked for.
---@param v number
---@return integer
function Blocks.round8(v)
  local n = math.max(8, math.floor(v + 4) // 8 * 8)
  return math.tointeger(n < 0.9 * v and n + 8 or n)
end


---@return lunette.Blocks
function Blocks.new() return setmetatable({ layers = {}, last = "input" }, Blocks) end


local first_only = false -- while Blocks.first looks for a layer


local function has_weights(layer) return layer.filters or layer.units end


---Adds a layer; gives its name.
---@param layer table
---@return string
function Blocks:add(layer)
  self.layers[#self.layers + 1] = layer
  self.last = layer[1]
  if first_only and has_weights(layer) then error(layer, 0) end
  return self.last
end


---The first convolution or dense layer of an architecture. A table of Blocks is built
---no further than that: there are seventy architectures, some of a thousand layers.
---@param build fun(): table
---@return table? layer   as lu.net takes it
function Blocks.first(build)
  first_only = true
  local ok, made = pcall(build)
  first_only = false
  if not ok and type(made) == "table" then return made end
  if not ok then error(made, 0) end
  for _, layer in ipairs(made.layers) do
    if has_weights(layer) then return layer end
  end
  return nil
end


---The padding that keeps the size of a map: (k - 1) / 2 each way.
local function same(kernel)
  if type(kernel) ~= "table" then return (kernel - 1) // 2 end
  return { (kernel[1] - 1) // 2, (kernel[2] - 1) // 2 }
end


---A convolution without bias whose padding keeps the size, then batch norm and, where
---`act` names one, an activation.
---@param o { [1]: string, bn: string, filters: integer, kernel: integer|integer[],
---  stride?: integer, groups?: integer, padding?: integer, act?: string,
---  act_name?: string, eps?: number, from?: string,
---  aliases?: string[]|false }   `aliases`: of the convolution
---@return string   the name of the last of them
function Blocks:conv_bn(o)
  local padding = o.padding or same(o.kernel)
  self:add { o[1], "conv2d", filters = o.filters, kernel = o.kernel, bias = false,
             stride = o.stride ~= 1 and o.stride or nil, padding = padding,
             groups = o.groups ~= 1 and o.groups or nil, from = o.from,
             aliases = o.aliases or nil }
  self:add { o.bn, "batch_norm", eps = o.eps }
  if o.act then self:add { o.act_name, o.act } end
  return self.last
end


---Ends a residual unit: what was made last plus `from`, where `fits` says that the unit
---keeps the shape. The unit's name is another name of what it puts out.
---@param name string
---@param from string
---@param fits boolean
function Blocks:residual(name, from, fits)
  if fits then
    self:add { name .. ".add", "add", from = { from, self.last }, aliases = { name } }
  else
    self.layers[#self.layers].aliases = { name }
  end
end


---Squeeze and excite (Hu et al. 2017): `mean` over places, two 1x1 convolutions, a gate
---that the map at `from` is multiplied by.
---@param name string   of the module; `name.fc1`, `name.fc2` are its convolutions
---@param o { from: string, channels: integer, squeeze: integer, act: string,
---  gate: string }
---@return string
function Blocks:excite(name, o)
  self:add { name .. ".avgpool", "global_avg_pool", from = o.from }
  self:add { name .. ".fc1", "conv2d", filters = o.squeeze, kernel = 1 }
  self:add { name .. ".activation", o.act }
  self:add { name .. ".fc2", "conv2d", filters = o.channels, kernel = 1 }
  self:add { name .. ".gate", o.gate }
  return self:add { name .. ".scale", "mul", from = { o.from, name .. ".gate" } }
end


---Global average, flatten, a dense layer of `classes` and softmax.
---@param name string      of the dense layer
---@param classes integer
---@param pool? string     name of the pooling
function Blocks:classify(name, classes, pool)
  self:add { pool or "avgpool", "global_avg_pool" }
  self:add { "flatten", "flatten" }
  self:add { name, "linear", units = classes }
  self:add { "softmax", "softmax" }
end


---Pictures from -1 to 1, resized and cropped as torchvision evaluates.
Blocks.from_minus_1 = { mode = "tf", fit = "crop" }


---The architectures of a family: by name, a function of options that gives what `build`
---makes of that name.
---@param rows table<string, any>   its names
---@param build fun(name: string, opts: table): table
---@return table<string, fun(opts?: table): table>
function Blocks.family(rows, build)
  local M = {}
  for name in pairs(rows) do
    ---The layers of that architecture, as a table for lu.net; `width` is of ResNets and
    ---MobileNets: that many times the channels; `stages` of ConvNeXts and RegNets.
    ---@param opts? { classes?: integer, side?: integer|table, width?: number,
    ---  stages?: table[], preprocessing?: string|table }
    ---@return table
    M[name] = function(opts) return build(name, opts or {}) end
  end
  return M
end


---The table that lu.net builds.
---@param name string
---@param opts table          side, classes, preprocessing
---@param side? integer       default
---@param preprocessing? string|table   what its published weights want ("torch")
---@return table
function Blocks:arch(name, opts, side, preprocessing)
  side = opts.side or side or 224
  local input = type(side) == "table" and { 3, side[1], side[2] } or { 3, side, side }
  return { name = name, input = input, layers = self.layers,
           preprocessing = opts.preprocessing or preprocessing or "torch",
           labels = (opts.classes or 1000) == 1000 and "imagenet" or nil }
end

return Blocks
