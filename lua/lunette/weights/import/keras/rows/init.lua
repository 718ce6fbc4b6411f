---Keras' layers in ours: a row a class. `row(e, call, xs, config)` adds layers (see
---emit.lua) and returns the value that they put out; what a config leaves out has
---Keras' default. A class without a row is refused by its name.
local common = require "lunette.weights.import.keras.rows.common"

local M = {}

for _, file in ipairs { "weighted", "normalisation", "activation", "pooling",
                        "shapes" } do
  local rows = require("lunette.weights.import.keras.rows." .. file)
  for class, row in pairs(rows) do M[class] = row end
end


-- several inputs -----------------------------------------------------------------


---The values, all with the axes of the first that has three.
local function all_real(e, call, xs)
  local list, first = {}, nil
  for i, x in ipairs(xs) do list[i] = type(x) == "table" and e:real(call, x) or x end
  for i, x in ipairs(list) do
    if type(x) == "table" and #x.shape == 3 then
      if first == nil then first = x.first or false end
      list[i] = e:laid_out(call, x, first)
    end
  end
  return list
end


---The first value of the most axes; numbers have none.
local function of_most_axes(list)
  local most
  for _, x in ipairs(list) do
    local is_more = type(x) == "table" and (not most or #x.shape > #most.shape)
    most = is_more and x or most
  end
  return most
end


---Keras gives values of fewer axes ones in front: (C) is (1,1,C) beside (H,W,C).
local function of_one_rank(e, call, list)
  local most = of_most_axes(list)
  if #most.shape == 1 then return list end
  for i, x in ipairs(list) do
    local n = type(x) == "table" and #x.shape == 1 and x.shape[1]
    if n then
      local ones = #most.shape == 2 and { 1, n } or { n, 1, 1 }
      local y = e:add(call, call.name .. "_ones", "reshape", { x }, { shape = ones })
      list[i] = e:laid_out(call, y, most.first or false)
    end
  end
  return list
end


local function join(kind)
  return function(e, call, xs)
    local list = of_one_rank(e, call, all_real(e, call, xs))
    if #list == 1 then return list[1] end
    return e:add(call, call.name, kind, list)
  end
end

M.Add, M.Subtract, M.Multiply = join "add", join "sub", join "mul"
M.Maximum, M.Minimum = join "maximum", join "minimum"
M.Divide, M.TrueDivide, M.Power = join "div", join "div", join "pow"


function M.Average(e, call, xs)
  local list = of_one_rank(e, call, all_real(e, call, xs))
  local y = e:add(call, call.name .. "_sum", "add", list)
  return e:add(call, call.name, "mul", { y, 1 / #list })
end


function M.Concatenate(e, call, xs, c)
  local list = all_real(e, call, xs)
  if #list == 1 then return list[1] end
  local dim = common.dim_of(e, call, list[1], c.axis)
  while #list > 16 do -- as many as the operator takes
    local some = table.move(list, 1, 16, 1, {})
    list = table.move(list, 17, #list, 2, {})
    list[1] = e:add(call, call.name .. "_part", "concat", some, { dim = dim })
  end
  return e:add(call, call.name, "concat", list, { dim = dim })
end


---x + scale * y, of Keras' own InceptionResNetV2.
function M.CustomScaleLayer(e, call, xs, c)
  local list = all_real(e, call, xs)
  if #list ~= 2 or type(c.scale) ~= "number" then
    e.fail(call, "reads two values and has a scale")
  end
  if c.scale ~= 1 then
    list[2] = e:add(call, call.name .. "_scaled", "mul", { list[2], c.scale })
  end
  return e:add(call, call.name, "add", list)
end


---A function written in Python, which is not run. Keras itself had one, in
---InceptionResNetV2, and its config says so.
function M.Lambda(e, call, xs, c)
  local module, given = c.module, c.arguments
  local known = type(module) == "string" and type(given) == "table"
    and module:find "^[%w_.]*keras[%w_.]*%.inception_resnet_v2$"
  if not known then
    e.fail(call, "it is a function in Python, which is not opened: describe the "
           .. "network with --arch net.lua")
  end
  return M.CustomScaleLayer(e, call, xs, given)
end


-- operators of TensorFlow among the layers ---------------------------------------


function M.TFOpLambda(e, call, xs, c)
  local name = common.class_of(call)
  if not name then
    e.fail(call, "the function '%s' is not supported",
           tostring(c["function"]):gsub("%c", "?"))
  end
  return M[name](e, call, xs, c)
end


-- what does nothing when a network answers ---------------------------------------


local function nothing(e, call, xs)
  local x = xs[1]
  if x.flat then return x end
  return e:add(call, call.name, "identity", { x })
end

for _, class in ipairs {
  "Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "AlphaDropout",
  "ActivityRegularization", "RandomFlip", "RandomRotation", "RandomZoom",
  "RandomContrast", "RandomTranslation", "RandomBrightness", "RandomHeight",
  "RandomWidth", "RandomColorDegeneration", "RandomColorJitter", "RandomErasing",
  "RandomElasticTransform", "RandomGaussianBlur", "RandomGrayscale", "RandomHue",
  "RandomInvert", "RandomPerspective", "RandomPosterization", "RandomSaturation",
  "RandomSharpness", "RandomShear", "AugMix", "CutMix", "MixUp", "RandAugment",
  "Solarization", "SpatialDropout1D", "Identity", "StochasticDepth",
} do
  M[class] = nothing
end

return M