-- Lunette's worker of the speed comparison: one line in, one line out (drive.py).
--   prepare            writes the inputs that both workers read
--   check CASE FILE    does the case once and writes its result, raw float32
--   time CASE          does it once and answers the milliseconds
--   again CASE         does it twice; answers what the second asked of the system
-- LUNETTE_BENCH_SHARE=8: long cases are timed with an eighth of their passes.
local long = dofile "tests/bench/long.lua"
local lu = require "lunette"
local core = lu.core

local build, threads = arg[1], tonumber(arg[2])
core.threads(threads)


local kept = {}
local function once(name, make)
  if kept[name] == nil then kept[name] = make() end
  return kept[name]
end


local function folder(name) return build .. "/bench/" .. name end


local function write(path, t)
  local f = assert(io.open(path, "wb"))
  assert(f:write(t:bytes()))
  f:close()
end


local function vgg()
  return once("vgg", function()
    return assert(lu.load(build .. "/vgg16_hash1.safetensors"))
  end)
end


local function stack(rows)
  rows[#rows + 1] = { dim = 1 }
  return core.ops.concat(table.unpack(rows))
end


-- inputs -----------------------------------------------------------------------


-- Smooth random pictures, about as bright as preprocessed photographs.
local function scenes(stream, n, c, side)
  local coarse = core.normal(1, stream, { n, c, 14, 14 })
  local fine = core.normal(1, stream + 1, { n, c, side, side })
  return coarse:resize(side, side) * 60 + fine * 10
end


local function photo()
  return once("photo", function() return scenes(1, 8, 3, 224) end)
end


local function one() return photo():narrow { dim = 1, start = 1, length = 1 } end


local function x227()
  return once("x227", function() return scenes(3, 1, 3, 227) end)
end


local function masks()
  return once("masks", function()
    return core.uniform(1, 5, { 64, 1, 7, 7 }):resize(224, 224)
  end)
end


-- The noise that SmoothGrad draws for its samples: seed 0, image 1, sample s.
local function noise()
  local all = core.zeros(50, 3, 224, 224)
  for s = 1, 50 do all[s] = core.normal(0, (1 << 32) + s, { 3, 224, 224 }) end
  return all
end


-- Weights by formula for the small networks; batch norms' statistics differ.
local function small(name)
  return once(name, function()
    local net = assert(lu.net(lu.models[name]())):init(1)
    for i, layer in ipairs(net:layers "batch_norm") do
      local c = { layer.shape[1] }
      net.params[layer.name .. ".running_mean"] = core.normal(2, i, c) * 0.1
      net.params[layer.name .. ".running_var"] = core.uniform(3, i, c) + 0.5
    end
    return net
  end)
end


local function prepare()
  write(folder "photo.f32", photo())
  write(folder "x227.f32", x227())
  write(folder "masks.f32", masks())
  write(folder "noise.f32", noise())
  long.prepare(function(name, t) write(folder(name), t) end)
  for _, name in ipairs { "squeezenet1_0", "resnet18" } do
    assert(lu.save(small(name), folder(name .. ".safetensors")))
  end
  return "ok"
end


-- cases ------------------------------------------------------------------------


local cases = {}
local linear = { modifiers = { "linear" } }
local top = { 8, 21, 33, 0, 999 }


local function gradient(net, x)
  local run <close> = net:run(x, linear)
  return run:gradient { score = 8 }
end


function cases.forward()
  local run <close> = vgg():run(one(), { modifiers = { "linear" }, keep = false })
  return run.output:detach():clone()
end


function cases.vanilla()
  return lu.saliency(vgg(), one(), { score = 8, modifiers = { "linear" } })
end


function cases.rules()
  local run <close> = vgg():run(one(), linear)
  local maps = {}
  for i, rule in ipairs { {}, { "guided" }, { "rectified" } } do
    maps[i] = lu.saliency(run, { score = 8, modifiers = rule })
  end
  return stack(maps)
end


function cases.batch8() return gradient(vgg(), photo()) end


function cases.smooth()
  return lu.saliency(vgg(), one(), { score = 8, modifiers = { "linear" },
                                     smooth_samples = 16 })
end


function cases.gradcam()
  return lu.gradcam(vgg(), one(), { score = 8, layer = "block5_conv3",
                                    modifiers = { "linear" } })
end


-- Without the sums of weights that a network's first map makes (at the same cost).
function cases.gradcam_whole()
  local run <close> = vgg():run(one(), { modifiers = { "linear" },
                                         keep = "block5_conv3" })
  local means = run:gradient { score = 8, wrt = "block5_conv3" }
    :mean { dims = { 3, 4 }, keepdims = true }
  local cam = (run.block5_conv3:detach() * means):sum { dims = { 2 } }:relu()
  return cam:resize(224, 224, { align_corners = true }):normalize()
end


function cases.masked()
  local net, rows, batch = vgg(), {}, 16
  for first = 1, 64, batch do
    local x <close> = one() * masks():narrow { dim = 1, start = first, length = batch }
    local run <close> = net:run(x, { modifiers = { "linear" }, keep = false })
    rows[#rows + 1] = run.output:detach():clone()
  end
  return stack(rows)
end


function cases.top5()
  local run <close> = vgg():run(one(), linear)
  return run:gradient { scores = top }
end

cases.top5_retained = cases.top5


function cases.squeezenet() return gradient(small "squeezenet1_0", x227()) end


---32 steps of activation maximisation, of one picture or of `count` channels from that
---one on; 256 take eight times as long.
local function dream(net, layer, channel, count)
  local list = {}
  for k = 1, count or 1 do list[k] = lu.score.unit(layer, channel + k - 1) end
  return lu.activation_maximization(net, { score = list, steps = 32, progress = false })
end


local function dreams(name, net, layer, channel, counts)
  cases["dream_" .. name] = function() return dream(net(), layer, channel) end
  for _, n in ipairs(counts) do
    local case = ("dream_%s_%d"):format(name, n)
    cases[case] = function() return dream(net(), layer, channel, n) end
    cases[case .. "_calls"] = function()
      local list = {}
      for k = 1, n do list[k] = dream(net(), layer, channel + k - 1) end
      return stack(list)
    end
  end
end

dreams("vgg", vgg, "block4_conv2", 6, { 2 })
-- (its own side is 227; the peers' pictures are of 224)
dreams("squeezenet", function()
  return once("squeezenet_224", function()
    return assert(lu.net(lu.models.squeezenet1_0 { side = 224 })):init(1)
  end)
end, "fire8.concat", 21, { 4, 8 })
dreams("glyphs", function()
  return once("glyphs", function() return assert(lu.load "glyphs") end)
end, "block4_conv3", 6, { 8 })


-- Relevance beside the gradient, both of a forward pass that was made before.
local function passed(name, net)
  return once("passed_" .. name, function() return net():run(one(), linear) end)
end


local function relevance(name, net)
  cases["relevance_" .. name] = function()
    return lu.relevance.at(passed(name, net), { score = 8, composite = "epsilon_plus" })
  end
  cases["backward_" .. name] = function()
    return passed(name, net):gradient { score = 8 }
  end
end

relevance("vgg", vgg)
relevance("resnet50", function() return small "resnet50" end)


function cases.resnet18() return gradient(small "resnet18", one()) end


local share = tonumber(os.getenv "LUNETTE_BENCH_SHARE") or 1

---A case by its name; "_default" is about the peer's batch alone.
---@param name string
---@param compared? boolean   as many passes as a comparison needs
local function case_of(name, compared)
  name = name:gsub("_default$", "")
  if not long.cases[name] then return cases[name] end
  local whole, few = table.unpack(long.counts[name])
  local n = compared and few or math.max(1, whole // share)
  return function() return long.cases[name](vgg(), one(), n) end
end


-- Resident memory in a process of its own, of one saliency of PHOTOS pictures, or of a
-- long case.
local function status()
  local found = {}
  for line in io.lines "/proc/self/status" do
    local key, kb = line:match "^(%w+):%s+(%d+) kB"
    if key then found[key] = tonumber(kb) / 1000 end
  end
  return found
end


local function print_memory()
  local s, m = status(), core.memory()
  print(("%.0f %.0f %.0f %.0f"):format(s.VmHWM, s.RssFile, s.RssAnon, m.peak / 1e6))
end


local function memory(photos)
  if long.cases[photos] then
    case_of(photos)():release()
    return print_memory()
  end
  local x = core.zeros(tonumber(photos), 3, 224, 224)
  x:copy_(scenes(1, tonumber(photos), 3, 224))
  collectgarbage()
  core.trim()
  local net = vgg()
  lu.saliency(net, x, { score = 8, modifiers = { "linear" } }):release()
  print_memory()
end


-- the worker -------------------------------------------------------------------


local clock = os.getenv "LUNETTE_BENCH_PROCESSOR" and os.clock or core.clock

local function timed(case)
  local start = clock()
  local result <close> = case_of(case)()
  return ("%.4f"):format(1e3 * (clock() - start)), result:size()
end


local commands = { prepare = prepare, time = timed }


function commands.check(case, path)
  write(path, case_of(case, true)())
  return "ok"
end


function commands.again(case)
  timed(case)
  collectgarbage()
  local before = core.memory().system
  timed(case)
  return core.memory().system - before
end


if arg[3] == "memory" then return memory(arg[4]) end
io.stdout:setvbuf "line"
for line in io.lines() do
  local words = {}
  for word in line:gmatch "%S+" do words[#words + 1] = word end
  print((commands[words[1]](words[2], words[3])))
end
