-- scripts/train_glyphs.lua: trains the embedded network from nothing, on scenes
-- that are drawn as it goes, and measures it on scenes that it has never seen.
-- Killed and started again it goes on from its last checkpoint.
local lu = require "lunette"
local core = lu.core
local glyphs = require "lunette.glyphs"
local train = require "lunette.train"

local args = lu.cli {
  "train_glyphs.lua: trains weights/glyphs.safetensors",
  out = "weights/glyphs.safetensors", checkpoint = "out/glyphs-checkpoint.safetensors",
  steps = 3200, batch = 16, rate = 1e-3, seed = 1, width = 0.125, fc = 64,
  test = 2000, commit = core.build().commit,
}

local ONE, TWO = 11 / 16, 5 / 16 -- share of scenes with one and with two objects
local TEST_SEED = 1000 -- training uses 2 * seed and 2 * seed + 1


local function log(...)
  print(os.date "!%H:%M:%S", ...)
  io.stdout:flush()
end


-- Input and target of a step: one-object scenes, then two-object scenes, whose
-- target is half the one class and half the other.
local function batch(step)
  local one = math.floor(args.batch * ONE + 0.5)
  local two = math.floor(args.batch * TWO + 0.5)
  local a = glyphs.scenes { n = one, seed = 2 * args.seed,
                            first = (step - 1) * one + 1 }
  local b = glyphs.scenes { n = two, seed = 2 * args.seed + 1, objects = 2,
                            first = (step - 1) * two + 1 }
  local target = core.zeros(one + two, #glyphs.names)
  for i, id in ipairs(a.labels) do target:set(i, id + 1, 1) end
  for i, id in ipairs(b.labels) do
    target:set(one + i, id + 1, 0.5)
    target:set(one + i, b.labels2[i] + 1, 0.5)
  end
  return glyphs.input(core.ops.concat(a.images, b.images, { dim = 1 })), target
end


-- Share of unseen scenes whose `objects` classes are the net's first ones.
local function accuracy(net, count, objects)
  local right, size = 0, 20
  for first = 1, count, size do
    local n = math.min(size, count - first + 1)
    local s = glyphs.scenes { n = n, seed = TEST_SEED + objects, first = first,
                              objects = objects }
    local run = net:run(glyphs.input(s.images),
                        { modifiers = { "linear" }, keep = false })
    for i, top in ipairs(run:top(objects)) do
      local truth, ok = { [s.labels[i]] = true }, true
      if objects == 2 then truth[s.labels2[i]] = true end
      for _, guess in ipairs(top) do ok = ok and truth[guess.class] end
      right = right + (ok and 1 or 0)
    end
    run:release()
  end
  return right / count
end


local net = assert(lu.net(lu.models.vgg16 {
  width = args.width, fc = args.fc, classes = #glyphs.names,
  preprocessing = glyphs.preprocessing,
})):init(args.seed)
net.labels = glyphs.names
local optimiser = train.adam(net.params, { decay = 1e-4 })
log(("%d parameters, seed %d, commit %s, %d threads"):format(net:count_params(),
    args.seed, args.commit, core.threads()))
assert(train.fit(net, optimiser, {
  steps = args.steps, batch = batch, clip = 1, checkpoint = args.checkpoint,
  rate = train.schedule { steps = args.steps, rate = args.rate, warmup = 200 },
  log = log, report = 20,
}))

local meta = { data = "glyphs", seed = tostring(args.seed), commit = args.commit,
               steps = tostring(args.steps), batch = tostring(args.batch) }
assert(require("lunette.load").save(net, args.out, { half = true, meta = meta }))
local stored = assert(lu.load(args.out)) -- as users get it: in half precision
log(("one object: %.2f %% of %d"):format(
    100 * accuracy(stored, args.test, 1), args.test))
log(("two objects, both in the first two: %.2f %% of %d"):format(
    100 * accuracy(stored, args.test, 2), args.test))
