---lu.save: a network and its weights in one file, from which lu.load makes it again.
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local metadata = require "lunette.weights.metadata"
local nets = require "lunette.net"
local options = require "lunette.base.options"


---Saves a network: its graph, its parameters, what pictures go through. lu.load makes
---it again, to the bit.
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
  local list = {}
  for _, layer in ipairs(net:layers()) do
    local found = net:params_of(layer)
    for _, q in ipairs(layer.params) do
      if not q.shared then list[#list + 1] = { q.name, found[q.key] } end
    end
  end
  local meta = metadata.of(net)
  for key, value in pairs(opts.meta) do meta[key] = value end
  return core.write_weights(path, list, opts.half and "f16" or "f32", meta)
end

return save
