---What the user says of a file: the options of an import, read and checked before
---anything is opened.
local applications = require "lunette.weights.import.keras.applications"
local json = require "lunette.base.json"
local labels = require "lunette.weights.import.labels"
local metadata = require "lunette.weights.metadata"
local models = require "lunette.models"
local named = require "lunette.models.named"
local suggest = require "lunette.base.suggest"

local M = {}

local known = { out = true, kept_as = true, half = true, preprocessing = true,
                name = true, side = true, sums = true, force = true, arch = true,
                last = true, labels = true, prefix = true, tensor = true,
                resized = true }


---Raises where an option is unknown.
function M.check_keys(opts, level)
  for key in pairs(opts or {}) do
    if not known[key] then
      local list = {}
      for name in pairs(known) do list[#list + 1] = name end
      error(("import: no option '%s'%s"):format(tostring(key),
            suggest.after(tostring(key), list)), level + 1)
    end
  end
end


---{height, width} of 224, "224", "64x96" or {64, 96}.
local function read_side(side)
  if side == nil then return nil end
  local h, w = side, side
  if type(side) == "table" then h, w = side[1], side[2] end
  if type(side) == "string" then
    h, w = side:match "^(%d+)[xX](%d+)$"
    if not h then h, w = side, side end
  end
  h, w = math.tointeger(tonumber(h)), math.tointeger(tonumber(w))
  if not h or not w or h < 1 or w < 1 or h > 8192 or w > 8192 then
    return nil, ("side is a number of pixels, or HEIGHTxWIDTH, not '%s'"):format(
      tostring(side))
  end
  return { h, w }
end


local lasts = { softmax = "softmax", sigmoid = "sigmoid", none = "none",
                linear = "none" }


local function read_last(word)
  if word == nil then return nil end
  if lasts[word] then return lasts[word] end
  return nil, ("last is softmax, sigmoid or none, not '%s'%s"):format(tostring(word),
    suggest.after(tostring(word), { "softmax", "sigmoid", "none" }))
end


---An architecture; those of timm that compute as TensorFlow does begin with "tf_".
local function read_arch(name)
  if name == nil or name:find "%.lua$" then return name end
  local found = named.resolve((name:gsub("^tf_", ""))) or applications.resolve(name)
  if found then return found end
  return nil, ("no architecture '%s'%s; a file that describes one ends in .lua"):format(
    name, suggest.after(name, models.names))
end


---The loader's own judgement of a preprocessing.
local function read_preprocessing(given)
  if given == nil then return nil end
  if given == "" then
    return nil, "preprocessing is empty: caffe, torch, tf, or JSON"
  end
  local text = type(given) == "table" and json.encode(given) or given
  local read, message = metadata.read { preprocessing = text }
  if not read then return nil, (message:gsub("^metadata: ", "")) end
  return text
end


---A name in the store becomes a file's.
local function read_kept_as(name)
  if name == nil or type(name) == "string" and name:find "^%w[%w_.-]*$" then
    return name
  end
  return nil, ("a name in the store has letters, digits, '_', '.' and '-', not '%s'")
    :format(tostring(name))
end


local readers = { kept_as = read_kept_as, side = read_side, last = read_last,
                  arch = read_arch, preprocessing = read_preprocessing }


---@param opts lunette.ImportOptions
---@return lunette.import.Given? given, string? message
function M.read(opts)
  if opts.out == "" then return nil, "the output is empty: name a file with -o" end
  if opts.out and opts.kept_as then
    return nil, "the output is a path (-o) or a name in the store (--name), not both"
  end
  local given = { name = opts.name, prefix = opts.prefix, out = opts.out,
                  force = opts.force, tensor = opts.tensor,
                  resized = opts.resized }
  for key, read in pairs(readers) do
    local value, message = read(opts[key])
    if message then return nil, message end
    given[key] = value
  end
  given.tensorflow = opts.arch ~= nil and opts.arch:find "^tf_" ~= nil
    and given.arch ~= opts.arch
  local message
  given.labels, message, given.label_ids = labels.read(opts.labels)
  if message then return nil, message end
  return given
end

return M
