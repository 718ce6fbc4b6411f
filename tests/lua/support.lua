---What the specs share: small networks, collected warnings, folders, the program.
---`local t = dofile "tests/lua/support.lua"` (specs run in the project's root).
local lu = require "lunette"
local core = require "lunette.core"

local here = debug.getinfo(1, "S").source:match "^@(.*)/tests/lua/[^/]*$" or "."
local M = { shared = os.getenv "LUNETTE_SHARED" or "../shared", project = here }

---Is this the build under AddressSanitizer, which is ten times slower?
M.sanitized = (os.getenv "LUNETTE_BUILD" or ""):find "sanitize" ~= nil


function M.exists(path)
  local f = io.open(path, "rb")
  if f then f:close() end
  return f ~= nil
end


---The file of a full-size VGG16 whose weights come from a formula; the built helper
---writes it once.
---@param seed integer|string
function M.formula_weights(seed)
  local build = os.getenv "LUNETTE_BUILD" or M.project .. "/build/release"
  local helper = build .. "/hash_weights"
  local path = ("%s/vgg16_hash%s.safetensors"):format(build, seed)
  if M.exists(path) then return path end
  if not M.exists(helper) then
    os.execute(("make -s -C '%s' hash_weights >&2"):format(M.project))
    helper = M.project .. "/build/release/hash_weights"
  end
  assert(os.execute(("'%s' %s '%s'"):format(helper, seed, path)),
         "cannot write formula weights")
  return path
end


---The layers of a run, in order: { layer =, id = }.
function M.nodes(run) return require("lunette.net.forward").nodes(run) end


---How many nodes every modifier of the list changes, by name.
function M.changed(run, list)
  local mods = require("lunette.modifiers.named").list(list)
  return (select(2, require("lunette.modifiers.apply").rules(run, M.nodes(run), mods)))
end


---A chain of every usual kind of layer, with random weights: (3,12,12), or other
---`channels`, to 5 classes.
function M.net(seed, channels)
  return assert(lu.net {
    name = "small", input = { channels or 3, 12, 12 },
    labels = { "ash", "birch", "cedar", "elm", "fir" },
    layers = {
      { "conv1", "conv2d", filters = 6, kernel = 3, padding = 1,
        aliases = { "features.0" } },
      { "relu1", "relu", aliases = { "features.1" } },
      { "pool1", "max_pool2d", kernel = 2, stride = 2 },
      { "conv2", "conv2d", filters = 8, kernel = 3 },
      { "relu2", "relu" },
      { "flatten", "flatten" },
      { "fc", "linear", units = 7 },
      { "fc_relu", "relu" },
      { "out", "linear", units = 5 },
      { "softmax", "softmax" },
    },
  }):init(seed or 1)
end


---A network without any non-linearity: (3,6,6) to 3 values.
function M.linear_net()
  return assert(lu.net { name = "flat", input = { 3, 6, 6 }, layers = {
    { "c", "conv2d", filters = 4, kernel = 3, padding = 1 }, { "f", "flatten" },
    { "out", "linear", units = 3 } } }):init(4)
end


---A graph: two branches joined, a shortcut added, odd sizes, strides.
function M.graph(seed)
  local net = assert(lu.net {
    name = "graph", input = { 3, 13, 11 },
    layers = {
      { "stem", "conv2d", filters = 4, kernel = 3, stride = 2, padding = 1 },
      { "stem_relu", "relu" },
      { "left", "conv2d", filters = 3, kernel = 1 },
      { "left_relu", "relu" },
      { "right", "conv2d", filters = 5, kernel = 3, padding = 1, from = "stem_relu" },
      { "right_relu", "relu" },
      { "join", "concat", from = { "left_relu", "right_relu" } },
      { "mix", "conv2d", filters = 8, kernel = 3, padding = 1, groups = 2 },
      { "norm", "batch_norm" },
      { "sum", "add", from = { "norm", "join" } },
      { "sum_relu", "relu" },
      { "mean", "global_avg_pool" },
      { "flatten", "flatten" },
      { "out", "linear", units = 4 },
      { "softmax", "softmax" },
    },
  }):init(seed or 2)
  net.params["norm.running_mean"] = core.normal(5, 1, 8) * 0.1
  net.params["norm.running_var"] = core.uniform(5, 2, 8) + 0.5
  return net
end


---What a user may write: a network of operators that no architecture of ours has.
---Batch norm, squeeze-and-excite, a channel shuffle, a learned scale, a number.
function M.own(seed)
  local net = assert(lu.net {
    name = "own", input = { 3, 6, 6 }, labels = { "ash", "birch", "cedar" },
    layers = {
      { "conv", "conv2d", filters = 8, kernel = 3, padding = 1, bias = false },
      { "bn", "batch_norm" },
      { "act", "silu" },
      { "squeeze", "mean", dims = { 3, 4 } },
      { "reduce", "linear", units = 4 },
      { "reduce_act", "relu" },
      { "widen", "linear", units = 8 },
      { "gate", "sigmoid" },
      { "gate_map", "reshape", shape = { 8, 1, 1 } },
      { "excited", "mul", from = { "act", "gate_map" } },
      { "grouped", "reshape", shape = { 2, 4, 6, 6 } },
      { "swapped", "permute", dims = { 1, 3, 2, 4, 5 } },
      { "shuffled", "reshape", shape = { 8, 6, 6 } },
      { "scaled", "mul", from = { "shuffled", { param = "gamma",
                                                shape = { 8, 1, 1 } } } },
      { "flipped", "sub", from = { 1, "scaled" } },
      { "pool", "mean", dims = { 3, 4 } },
      { "out", "linear", units = 3 },
      { "softmax", "softmax" },
    },
  }):init(seed or 4)
  net.params["bn.running_mean"] = core.normal(5, 1, 8) * 0.1
  net.params["bn.running_var"] = core.uniform(5, 2, 8) + 0.5
  net.params["scaled.gamma"] = core.uniform(5, 3, 8, 1, 1) + 0.5
  return net
end


---The tensors of a safetensors file, by name.
---@return table<string, lunette.Tensor>
function M.tensors(path)
  local file, found = assert(core.weights(path)), {}
  for i, e in ipairs(file:list()) do found[e.name] = file:tensor(i) end
  return found
end


---Gives a network the tensors that stand under its layers' names or aliases, as
---torchvision's state dicts have them.
function M.fill(net, found)
  for _, layer in ipairs(net:layers()) do
    for _, q in ipairs(layer.params) do
      local v
      for _, name in ipairs { layer.name, table.unpack(layer.aliases) } do
        v = v or found[name .. "." .. q.key] or found[name .. "_" .. q.key]
          or name == q.key and found[name]
      end
      net.params[q.name] = assert(v, q.name .. " is not in the file")
        :view(table.unpack(q.shape))
    end
  end
  return net
end


---n random inputs of a network, as photographs are after preprocessing.
function M.input(net, n, seed)
  return core.normal(seed or 3, 0, { n or 1, table.unpack(net.input) })
end


---A run of n random inputs (2) whose softmax is left out.
function M.linear_run(net, n)
  return net:run(M.input(net, n or 2), { modifiers = { "linear" } })
end


---What a network puts out for a class, an input each: (N,1). `opts` are net:run's.
function M.score_of(net, x, class, opts)
  local run <close> = net:run(x, opts or { modifiers = { "linear" } })
  return run.output:detach():clone():narrow { dim = 2, start = class + 1, length = 1 }
end


---The picture itself, then up to `most` that differ from it by roundings. Where a unit
---is so near to 0, or two values to each other, that rounding decides, an answer jumps:
---one of these has what is wanted, for a wrong formula none. (golden.lua, ROUNDING.)
---@return fun(): lunette.Tensor?
function M.rounded(x, most)
  local i = -1
  return function()
    i = i + 1
    if i == 0 then return x end
    return i <= most and x * (core.normal(i, 0, x:shape()) * 3e-7 + 1) or nil
  end
end


---The .npy file `key` that a script has written beside a model file.
function M.beside(base, key)
  return assert(lu.npy.read(("%s.%s.npy"):format(base, key)))
end


---Calls f with warnings collected; returns them, then what f returned.
function M.warnings(f, ...)
  local list = {}
  return list, require("lunette.base.warn").during(function(message)
    list[#list + 1] = message
  end, f, ...)
end


---The message that f raises; fails when it raises none.
function M.message(f, ...)
  local ok, message = pcall(f, ...)
  if ok then error("no error was raised", 2) end
  return tostring(message)
end


---Are two tensors the same, shape and bits?
function M.same(a, b) return a:same(b) end


---Largest absolute difference of two tensors of a size.
function M.off(a, b)
  local s = (a:view(a:size()) - b:view(b:size())):stats()
  return math.max(-s.min, s.max)
end


---A folder that `done` removes.
function M.folder()
  local path = os.tmpname()
  os.remove(path)
  assert(require("lfs").mkdir(path))
  return path, function() os.execute("rm -rf '" .. path .. "'") end
end


---A folder as M.folder's, where lu.load also keeps what it imports from now on.
---@return string folder
---@return function done   removes it
function M.cache_folder()
  local folder, done = M.folder()
  require "lunette.weights.cache".folder = function() return folder .. "/cache" end
  return folder, done
end


function M.spit(path, bytes)
  local f = assert(io.open(path, "wb"))
  f:write(bytes)
  f:close()
  return path
end


function M.read(path)
  local f = assert(io.open(path, "rb"))
  local bytes = f:read "a"
  f:close()
  return bytes
end


---Runs a shell command; returns the exit code and what was printed (stderr too).
function M.shell(command)
  local pipe = io.popen("{ " .. command .. "\n} 2>&1", "r")
  local text = pipe:read "a"
  local _, _, code = pipe:close()
  return code, text
end


---The same for other people's programs, which run without the sanitizer that this
---process may have loaded.
function M.other(command) return M.shell("export LD_PRELOAD=; " .. command) end


---A folder of files that other people's programs make of these sources and nothing
---else: kept below the build folder, and made again when a source or one of the Debian
---packages changes. Tests only read it.
---@param name string
---@param sources string    files, as the shell sees them
---@param packages string   Debian's: "python3-torch python3-h5py"
---@param make fun(folder: string): boolean?   false: it cannot be made here
---@return string? folder
function M.kept(name, sources, packages, make)
  local build = os.getenv "LUNETTE_BUILD" or M.project .. "/build/release"
  local base = (build:match "^(.*/build)/[^/]+$" or build) .. "/kept"
  local _, sum = M.other(("{ cat %s; dpkg-query -W %s; } 2>&1 | sha256sum"):format(
    sources, packages))
  local folder = ("%s/%s-%s"):format(base, name, sum:sub(1, 16))
  if M.exists(folder .. "/made") then return folder end
  local unique = os.tmpname()
  local part = folder .. "." .. unique:match "[^/_]*$"
  os.remove(unique)
  M.shell(("rm -rf '%s/%s-'*; mkdir -p '%s'"):format(base, name, part))
  if make(part) == false then
    M.shell(("rm -rf '%s'"):format(part))
    return nil
  end
  M.spit(part .. "/made", "")
  M.shell(("mv '%s' '%s'"):format(part, folder))
  return folder
end


local root -- of the project, absolute

function M.root()
  root = root or require("lfs").currentdir()
  return root
end


---The program, from any folder: its exit code and output.
---@param arguments string   quoted for the shell
---@param folder? string     where to run it
---@param environment? string  "NAME=value"
function M.program(arguments, folder, environment)
  return M.shell(("cd '%s' && %s '%s/lunette' %s"):format(folder or ".",
    environment or "", M.root(), arguments))
end


---A small photograph-like picture as a PNG file.
function M.picture(path, h, w, seed)
  local smooth = core.uniform(seed or 1, 0, 1, 3, 4, 4):resize(h, w)
  return assert(lu.image.save(path, (smooth * 255)[1]))
end


return M
