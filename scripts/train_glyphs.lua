-- Trains the embedded network from nothing, on scenes that are drawn as it goes,
-- and measures it on scenes that it has never seen. Killed and started again, it
-- goes on from its last checkpoint.
local lu = require "lunette"
local core, glyphs, train = lu.core, lu.glyphs, lu.train

local args = lu.cli {
  "train_glyphs.lua", out = "weights/glyphs.safetensors", seed = 1, width = 0.125,
  fc = 128, batch = 16, small_steps = 9000, steps = 2200, rate = 1e-3, test = 2000,
}

local commit = core.build().commit
local TEST_SEED = 1000 -- training draws from seeds 3 * seed .. 3 * seed + 2


local function log(...)
  print(os.date "!%H:%M:%S", ...)
  io.stdout:flush()
end


local function network(side)
  local net = assert(lu.net(lu.models.vgg16 {
    width = args.width, fc = args.fc, classes = #glyphs.names, side = side,
    preprocessing = glyphs.preprocessing,
  })):init(args.seed)
  net.labels = glyphs.names
  return net
end


-- First small pictures, whose one object is about as large in pixels: six times as
-- many a second, and the convolutions do not know how large the picture is. They
-- begin as bright shapes on black, and by step 400 are as cluttered as they will be.
local function small_batch(step)
  local s = glyphs.scenes {
    n = args.batch, seed = 3 * args.seed, first = (step - 1) * args.batch + 1,
    side = 96, clutter = math.min(1, (step - 1) / 400),
  }
  return glyphs.input(s.images), s.labels
end


-- Then whole scenes; a third of them have two objects, whose target is half the one
-- class and half the other.
local function batch(step)
  local two = args.batch // 3
  local one = args.batch - two
  local a = glyphs.scenes { n = one, seed = 3 * args.seed + 1,
                            first = (step - 1) * one + 1 }
  local b = glyphs.scenes { n = two, seed = 3 * args.seed + 2,
                            first = (step - 1) * two + 1, objects = 2 }
  local target = core.zeros(one + two, #glyphs.names)
  for i, id in ipairs(a.labels) do target:set(i, id + 1, 1) end
  for i, id in ipairs(b.labels) do
    target:set(one + i, id + 1, 0.5)
    target:set(one + i, b.labels2[i] + 1, 0.5)
  end
  return glyphs.input(core.ops.concat(a.images, b.images, { dim = 1 })), target
end


-- One weight for all places: fc1 reads 7 x 7 of them, and no scene has seen every
-- shape at each. The mean over the places, written to all of them.
local function tie(t, channels)
  local units, places = t:dim(1), t:dim(2) // channels
  local mean = t:reshape { shape = { units, channels, places } }
    :mean { dims = { 3 }, keepdims = true }
  t:copy_(mean:expand { shape = { units, channels, places } })
end


local function tie_gradient(g) tie(g["fc1.weight"], g["block5_conv3.bias"]:size()) end


local function fit(net, stage, steps, batches, rate, last)
  log(("stage %s: %d parameters, %d steps of %d, seed %d, commit %s"):format(stage,
      net:count_params(), steps, args.batch, args.seed, commit))
  assert(train.fit(net, train.adam(net.params, { decay = 1e-4 }), {
    steps = steps, batch = batches, clip = 1, log = log,
    gradients = stage == "whole" and tie_gradient or nil,
    frozen = stage == "whole" and "block2_pool" or nil, -- half of the time saved
    rate = train.schedule { steps = steps, rate = rate, warmup = 100, last = last },
    checkpoint = ("%s.%s"):format(args.out, stage),
  }))
end


-- The small net's layers in the large one; fc1 gets the mean of its nine places at
-- every place. (When a checkpoint exists, all of this is overwritten by it.)
local function widen(small)
  local net = network()
  for name, p in pairs(small.params) do
    if name ~= "fc1.weight" then net.params[name] = p:clone() end
  end
  local units, channels = args.fc, net.params["block5_conv3.bias"]:size()
  local nine = small.params["fc1.weight"]:clone()
  tie(nine, channels)
  local one = nine:reshape { shape = { units, channels, 9 } }
    :narrow { dim = 3, start = 1, length = 1 }
  net.params["fc1.weight"] = one:expand { shape = { units, channels, 49 } }
    :reshape { shape = { units, channels * 49 } }:clone()
  train.calibrate(net, (batch(1)), { from = "fc1" })
  return net
end


-- Share of unseen scenes whose `objects` classes are the network's first ones.
local function accuracy(net, objects)
  local right, size = 0, 20
  for first = 1, args.test, size do
    local s = glyphs.scenes { n = math.min(size, args.test - first + 1), first = first,
                              seed = TEST_SEED + objects, objects = objects }
    local run = net:run(glyphs.input(s.images),
                        { modifiers = { "linear" }, keep = false })
    for i, top in ipairs(run:top(objects)) do
      local truth, all = { [s.labels[i]] = true }, true
      if objects == 2 then truth[s.labels2[i]] = true end
      for _, guess in ipairs(top) do all = all and truth[guess.class] end
      right = right + (all and 1 or 0)
    end
    run:release()
  end
  return 100 * right / args.test
end


local small = network(96)
train.calibrate(small, (small_batch(1)))
fit(small, "small", args.small_steps, small_batch, args.rate, args.rate / 10)
local net = widen(small)
fit(net, "whole", args.steps, batch, args.rate / 2, 0)

assert(lu.save(net, args.out, { half = true, meta = {
  data = "glyphs", seed = tostring(args.seed), commit = commit,
  steps = ("%d + %d of %d"):format(args.small_steps, args.steps, args.batch),
} }))
local stored = assert(lu.load(args.out)) -- as users get it: in half precision
log(("one object: %.2f %% of %d"):format(accuracy(stored, 1), args.test))
log(("two objects, the first two guesses: %.2f %% of %d"):format(accuracy(stored, 2),
    args.test))
