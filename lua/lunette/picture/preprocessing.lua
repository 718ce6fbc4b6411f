---Preprocessing as data: from a picture's bytes to a network's input.
local blame = require "lunette.base.blame"
local options = require "lunette.base.options"
local suggest = require "lunette.base.suggest"

local M = {}

---@class lunette.Preprocessing
---@field mode? string      "caffe", "torch", "tf": the fields below by name
---@field order? string     channel order that the network wants: "rgb" or "bgr"
---@field scale? number     a byte is multiplied by this first (1)
---@field mean? number[]    subtracted then, in the network's channel order
---@field std? number[]     divided by last
---@field fit? string       "stretch" (default), "crop": short side, then centre, or
---  "pad": the whole picture on the colour that becomes 0
---@field filter? string    "nearest" for stretch, else "bilinear", antialiased
---@field crop_pct? number  share of the short side that crop keeps (0.875)
---@field size? integer|integer[]  side, or {height, width}

---What the names mean (keras.applications.imagenet_utils.preprocess_input):
---caffe is BGR minus ImageNet's mean, torch is 0..1 standardised, tf is -1..1. Keras
---stretches to the nearest pixel (load_img); torchvision evaluates by Resize(256) and
---CenterCrop(224), bilinear.
---@type table<string, lunette.Preprocessing>
M.modes = {
  caffe = { order = "bgr", scale = 1, mean = { 103.939, 116.779, 123.68 },
            std = { 1, 1, 1 } },
  torch = { order = "rgb", scale = 1 / 255, mean = { 0.485, 0.456, 0.406 },
            std = { 0.229, 0.224, 0.225 }, fit = "crop" },
  tf = { order = "rgb", scale = 1 / 127.5, mean = { 1, 1, 1 }, std = { 1, 1, 1 } },
}

local defaults = {
  order = "rgb", scale = 1, mean = { 0, 0, 0 }, std = { 1, 1, 1 }, fit = "stretch",
  filter = false, crop_pct = 0.875, size = false, mode = false,
}


local function is_number(x)
  return type(x) == "number" and x == x and math.abs(x) ~= math.huge
end


local function check_triple(name, list)
  if type(list) == "number" then list = { list, list, list } end
  if type(list) ~= "table" or (#list ~= 3 and #list ~= 1) then
    error(("preprocessing: %s must be one number or three"):format(name), 0)
  end
  for _, x in ipairs(list) do
    if not is_number(x) then
      error(("preprocessing: %s holds '%s', which is no number"):format(name,
            tostring(x)), 0)
    elseif name == "std" and x == 0 then
      error("preprocessing: std is 0, by which nothing can be divided", 0)
    end
  end
  return #list == 3 and list or { list[1], list[1], list[1] }
end


---Raises where a picture would be no float32: its brightest byte, or its darkest.
local function check_result(spec)
  for k = 1, 3 do
    local most = (255 * math.abs(spec.scale) + math.abs(spec.mean[k])) /
      math.abs(spec.std[k])
    if most > 3e38 then
      error(("preprocessing: a picture would have values of %.3g, more than float32 "
             .. "holds: mean %g, std %g, scale %g"):format(most, spec.mean[k],
             spec.std[k], spec.scale), 0)
    end
  end
end


---Raises where `size` is neither a side nor {height, width}.
local function check_size(size)
  if not size then return end
  local list = type(size) == "table" and size or { size }
  for _, n in ipairs(list) do
    if math.type(n) ~= "integer" or n < 1 or n > 8192 or #list > 2 then list = {} end
  end
  if #list == 0 then
    error("preprocessing: size is a side of 1 to 8192, or { height, width }", 0)
  end
end


local filters = { "nearest", "box", "bilinear", "hamming", "bicubic", "lanczos" }


local function check_range(spec)
  if not is_number(spec.scale) or spec.scale == 0 then
    error(("preprocessing: scale is '%s', expected a number other than 0"):format(
          tostring(spec.scale)), 0)
  end
  if not is_number(spec.crop_pct) or spec.crop_pct <= 0 or spec.crop_pct > 1 then
    error("preprocessing: crop_pct is above 0 and at most 1", 0)
  end
end


local function full_spec(what)
  local given = type(what) == "string" and { mode = what } or what or {}
  if type(given) ~= "table" then
    error(("preprocessing is a name or a table, got %s"):format(type(given)), 0)
  end
  local base = {}
  if given.mode then
    local names = { "caffe", "tf", "torch" }
    local mode = M.modes[given.mode]
    if not mode then
      error(("no preprocessing '%s'%s; there are %s"):format(given.mode,
            suggest.after(given.mode, names), table.concat(names, ", ")), 0)
    end
    for key, value in pairs(mode) do base[key] = value end
  end
  for key, value in pairs(given) do base[key] = value end
  local spec = options.check("preprocessing", base, defaults)
  options.choice("preprocessing: order", spec.order, { "rgb", "bgr" })
  options.choice("preprocessing: fit", spec.fit, { "stretch", "crop", "pad" })
  check_range(spec)
  spec.mean, spec.std = check_triple("mean", spec.mean), check_triple("std", spec.std)
  check_result(spec)
  check_size(spec.size)
  spec.filter = spec.filter or (spec.fit == "stretch" and "nearest" or "bilinear")
  options.choice("preprocessing: filter", spec.filter, filters)
  spec.bgr = spec.order == "bgr"
  return spec
end


---Every field of a preprocessing, from a mode's name or a table.
---@param what string|lunette.Preprocessing
---@return table spec   with all fields set
function M.spec(what)
  local ok, spec = pcall(full_spec, what)
  if not ok then blame(spec) end
  return spec
end

return M
