---lu.save: a network and its weights in one file, from which lu.load makes it again.
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local files = require "lunette.base.files"
local metadata = require "lunette.weights.metadata"
local nets = require "lunette.net"
local options = require "lunette.base.options"


---Suffixes of other programs' files.
local others = { h5 = true, hdf5 = true, keras = true, pth = true, pt = true,
                 bin = true, onnx = true, npz = true, npy = true, pb = true,
                 tflite = true }


---A message where the name promises another format; safetensors is what is written.
local function promises_other(path)
  local suffix = (path:match "%.(%w+)$" or ""):lower()
  if not others[suffix] then return nil end
  return ("'%s': a network is saved as .safetensors%s"):format(path, suffix == "onnx"
    and "; lu.export(net, file) writes .onnx" or "")
end


---Saves a network: its graph, its parameters, what pictures go through. lu.load makes
---it again, to the bit. A folder that is missing is made.
---Example:
---  local net = lu.net { input = { 1, 8, 8 }, layers = {
---    { "conv1", "conv2d", filters = 4, kernel = 3 }, { "relu1", "relu" } } }
---  local path = os.tmpname()
---  assert(lu.save(net:init(1), path))
---  print(lu.load(path))
---  os.remove(path)
---@param net lunette.Net
---@param path string
---@param opts? { half?: boolean, meta?: table<string,string> }   half: float16; meta:
---  more metadata, strings by name
---@return true? ok, string? message
local function save(net, path, opts)
  if getmetatable(net) ~= nets.Net or type(path) ~= "string" then
    blame("save: expected a network and a path")
  end
  opts = options.check("save", opts, { half = false, meta = {} })
  local other = promises_other(path)
  if other then return nil, other end
  local list = {}
  for _, layer in ipairs(net:layers()) do
    local found = net:params_of(layer)
    for _, q in ipairs(layer.params) do
      if not q.shared then list[#list + 1] = { q.name, found[q.key] } end
    end
  end
  local meta = metadata.of(net)
  for key, value in pairs(opts.meta) do meta[key] = value end
  local ok, message = files.mkdir((files.split(path)))
  if not ok then return nil, message end
  return core.write_weights(path, list, opts.half and "f16" or "f32", meta)
end

return save
