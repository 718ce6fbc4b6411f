---How the embedded network is trained: two stages on scenes that are drawn as it
---goes, and a measurement on scenes that it has never seen.
local core = require "lunette.core"
local glyphs = require "lunette.glyphs"
local load = require "lunette.weights.load"
local models = require "lunette.models"
local nets = require "lunette.net"
local train = require "lunette.train"

local TEST_SEED = 1000 -- training draws from seeds 3 * seed .. 3 * seed + 2

---@class lunette.Recipe
---@field out string           the file; checkpoints stand beside it
---@field seed integer
---@field width number         share of VGG16's channels
---@field fc integer           units of the dense layers
---@field batch_size integer
---@field small_steps integer  of stage one
---@field steps integer        of stage two
---@field rate number          largest learning rate
---@field test integer         scenes to measure on
---@field log fun(line: string)
local Recipe = {}
Recipe.__index = Recipe


function Recipe:network(side)
  local net = assert(nets.new(models.vgg16 {
    width = self.width, fc = self.fc, classes = #glyphs.names, side = side,
    preprocessing = glyphs.preprocessing,
  })):init(self.seed)
  net.labels = glyphs.names
  return net
end


-- First small pictures, whose one object is about as large in pixels: six times as
-- many a second, and the convolutions do not know how large the picture is. They
-- begin as bright shapes on black, and by step 400 are as cluttered as they will be.
function Recipe:small_batch(step)
  local s = glyphs.scenes {
    n = self.batch_size, seed = 3 * self.seed, first = (step - 1) * self.batch_size + 1,
    side = 96, clutter = math.min(1, (step - 1) / 400),
  }
  return glyphs.input(s.images), s.labels
end


-- Then whole scenes; a third of them have two objects, whose target is half the one
-- class and half the other.
function Recipe:batch(step)
  local two = self.batch_size // 3
  local one = self.batch_size - two
  local a = glyphs.scenes { n = one, seed = 3 * self.seed + 1,
                            first = (step - 1) * one + 1 }
  local b = glyphs.scenes { n = two, seed = 3 * self.seed + 2,
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


function Recipe:fit(net, stage, steps, batches, rate, last)
  self.log(("stage %s: %d parameters, %d steps of %d, seed %d, commit %s"):format(stage,
      net:count_params(), steps, self.batch_size, self.seed, core.build().commit))
  assert(train.fit(net, train.adam(net.params, { decay = 1e-4 }), {
    steps = steps, batch = function(step) return batches(self, step) end,
    clip = 1, log = self.log,
    gradients = stage == "whole" and tie_gradient or nil,
    frozen = stage == "whole" and "block2_pool" or nil, -- half of the time saved
    rate = train.schedule { steps = steps, rate = rate, warmup = 100, last = last },
    checkpoint = ("%s.%s"):format(self.out, stage),
  }))
end


-- The small net's layers in the large one; fc1 gets the mean of its nine places at
-- every place. (When a checkpoint exists, all of this is overwritten by it.)
function Recipe:widen(small)
  local net = self:network()
  for name, p in pairs(small.params) do
    if name ~= "fc1.weight" then net.params[name] = p:clone() end
  end
  local units, channels = self.fc, net.params["block5_conv3.bias"]:size()
  local nine = small.params["fc1.weight"]:clone()
  tie(nine, channels)
  local one = nine:reshape { shape = { units, channels, 9 } }
    :narrow { dim = 3, start = 1, length = 1 }
  net.params["fc1.weight"] = one:expand { shape = { units, channels, 49 } }
    :reshape { shape = { units, channels * 49 } }:clone()
  train.calibrate(net, (self:batch(1)), { from = "fc1" })
  return net
end


-- Share of unseen scenes whose `objects` classes are the network's first ones.
function Recipe:accuracy(net, objects)
  local right, size = 0, 20
  for first = 1, self.test, size do
    local s = glyphs.scenes { n = math.min(size, self.test - first + 1), first = first,
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
  return 100 * right / self.test
end


---Trains, saves in half precision, and measures the file as users get it. Killed
---and called again, it goes on from its last checkpoint.
---@param options lunette.Recipe
local function cook(options)
  local r = setmetatable(options, Recipe)
  local small = r:network(96)
  train.calibrate(small, (r:small_batch(1)))
  r:fit(small, "small", r.small_steps, r.small_batch, r.rate, r.rate / 10)
  local net = r:widen(small)
  r:fit(net, "whole", r.steps, r.batch, r.rate / 2, 0)
  assert(require "lunette.weights.save"(net, r.out, { half = true, meta = {
    data = "glyphs", shows = "ten drawn shapes", examples = "glyphs",
    seed = tostring(r.seed), commit = core.build().commit,
    steps = ("%d + %d of %d"):format(r.small_steps, r.steps, r.batch_size),
  } }))
  local stored = assert(load.load(r.out))
  r.log(("one object: %.2f %% of %d"):format(r:accuracy(stored, 1), r.test))
  r.log(("two objects, the first two guesses: %.2f %% of %d"):format(
    r:accuracy(stored, 2), r.test))
end

return cook
