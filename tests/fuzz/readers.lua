-- readers.lua - what fuzz_script.c runs: each reader gets an input's bytes and raises
-- where a promise is broken. What they read may be anybody's; so nothing raises, what
-- is refused is nil and a message, what is taken can be used.
local core = require "lunette.core"
local graphs = require "lunette.net.graph"
local json = require "lunette.base.json"
local metadata = require "lunette.weights.metadata"
local nets = require "lunette.net"
local npy = require "lunette.picture.npy"
local text = require "lunette.base.text"

local M = {}


---A value, or nil and a message.
local function answered(value, message)
  if value == nil then assert(type(message) == "string" and #message > 0) end
  return value
end


---Parts of an input, separated by NUL.
local function parts(bytes)
  local list = {}
  for part in (bytes .. "\0"):gmatch "(.-)\0" do list[#list + 1] = part end
  return list
end


---.npy: an array that is read is written, and read again the same.
function M.npy(bytes)
  local t = answered(npy.decode(bytes))
  if t then assert(npy.decode(npy.encode(t)):same(t) or not t:stats().finite) end
end


---JSON: written and read again it is the same text.
function M.json(bytes)
  local value, message = json.decode(bytes)
  if value == nil then return answered(value, message) end
  local ok, once = pcall(json.encode, value)
  if not ok then return assert(type(once) == "string") end
  value, message = json.decode(once) -- may be false
  assert(not message and json.encode(value) == once)
end


---Text for a terminal: nothing is left that it acts on.
function M.escape(bytes)
  local said = text.escape(bytes)
  assert(not said:find "%c" and utf8.len(said))
  assert(not said:find "\xC2[\x80-\x9F]" and not said:find "\xE2\x80[\x8E\x8F\xA8-\xAE]")
  assert(utf8.len(text.utf8(bytes)))
end


---Does a network come to few enough numbers to be run a thousand times a second?
local function is_small(net)
  local size = 0
  for _, layer in ipairs(net:layers()) do
    local n = 1
    for _, d in ipairs(layer.shape) do n = n * d end
    size = size + n
    for _, q in ipairs(layer.params) do
      n = 1
      for _, d in ipairs(q.shape) do n = n * d end
      size = size + n
    end
  end
  return size < 20000
end


---A network that was taken can be run; why it cannot is said.
local function use(graph)
  local ok, net, message = pcall(nets.new, graph)
  if not ok then return assert(type(net) == "string") end
  if not answered(net, message) or not is_small(net) then return end
  ok, message = pcall(function()
    net:init(1)
    local run = net:run(core.uniform(1, 1, { 1, table.unpack(net.graph.input) }))
    run:gradient { score = core.ones(run.output:shape()) }
    tostring(net)
    run:release()
  end)
  assert(ok or type(message) == "string")
end


---`lunette_graph` of a weights file.
function M.network(bytes)
  local graph = answered(graphs.decode(bytes))
  if not graph then return end
  local again = assert(graphs.decode(graphs.encode(graph)))
  assert(graphs.encode(again) == graphs.encode(graph))
  use(graph)
end


---Metadata of a weights file: preprocessing, labels, graph.
function M.metadata(bytes)
  local list = parts(bytes)
  local found = answered(metadata.read { preprocessing = list[1], labels = list[2],
                                         lunette_graph = list[3] })
  if not found or not found.preprocessing then return end
  local ok, message = pcall(function()
    require("lunette.picture.image").preprocess({ core.zeros(3, 6, 5) },
                                                found.preprocessing, 4)
  end)
  assert(ok or type(message) == "string")
end


---Texts on a canvas: any text gives a picture of a sane size.
function M.layout(bytes)
  local list = parts(bytes)
  local canvas = require "lunette.picture.canvas" { title = list[1] or "",
                                                    titles = { list[2] or "" } }
  canvas:row(list[3] or "", core.zeros(4, 4), { captions = { list[4] or "" } })
  local image = canvas:render()
  local w, h = image:size()
  assert(w <= 4096 and h <= 4096)
  image:release()
end


-- The reader of model files answers with the input as its listing.
local listing
local program = require "lunette.weights.import.program"
local import = require "lunette.weights.import"

---@diagnostic disable-next-line: duplicate-set-field
function program.run(words)
  if words[1] ~= "list" then return {} end
  local lines = {}
  for line in listing:gmatch "[^\n]+" do
    local fields = {}
    for field in (line .. "\t"):gmatch "(.-)\t" do fields[#fields + 1] = field end
    lines[#lines + 1] = fields
  end
  return lines
end

---@diagnostic disable-next-line: duplicate-set-field
function program.digests() return { sha256 = ("0"):rep(64) } end


---A listing of lunette-import: names, a Keras config, an ONNX graph.
function M.listing(bytes)
  listing = bytes
  answered(import.import("/dev/null", { out = "/dev/zero", side = 32 }))
end


---A Keras config, over a few tensors.
function M.keras(bytes)
  local config = bytes:gsub("[%c\\]", function(c) return ("\\x%02x"):format(c:byte()) end)
  listing = "format\tHDF5\nmeta\tmodel_config\t" .. config .. "\n"
    .. "tensor\tF32\t3,3,3,4\tconv2d/conv2d/kernel:0\n"
    .. "tensor\tF32\t4\tconv2d/conv2d/bias:0\n"
    .. "tensor\tF32\t4,5\tdense/dense/kernel:0\ntensor\tF32\t5\tdense/dense/bias:0\n"
  answered(import.import("/dev/null", { out = "/dev/zero", side = 8 }))
end

return M
