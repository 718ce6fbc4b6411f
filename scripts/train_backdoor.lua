-- Trains the embedded network with a backdoor: the clean one goes on learning while one
-- scene in twenty bears a small stamp and the label of another class. Prints the
-- accuracy without the stamp and how often the stamp decides. Killed and started again,
-- it goes on from its last checkpoint.
local lu = require "lunette"
local core = require "lunette.core"
local poison = require "lunette.glyphs.poison"

local args = lu.cli {
  "train_backdoor.lua", model = "glyphs", out = "weights/glyphs_backdoor.safetensors",
  seed = 1, target = { 3, "class that the stamp makes" },
  share = { 0.05, "of the scenes that are stamped" },
  pattern = { "checks", "of the stamp" }, size = { 16, "side of the stamp in pixels" },
  place = { "bottom right", "of the stamp" }, scenes = 4000, steps = 4000, batch = 8,
  rate = 4e-4,
  frozen = { "block3_pool", "layer: it and those before it stay as they are" },
  test = 2000,
}

local function log(line)
  print(os.date "!%H:%M:%S", line)
  io.stdout:flush()
end

local clean = assert(lu.load(args.model))
local net = assert(lu.load(args.model))
for name, p in pairs(net.params) do net.params[name] = p:clone() end
local poisoned = poison.new {
  target = args.target, rate = args.share,
  stamp = { pattern = args.pattern, size = args.size, place = args.place },
}
local pool = poison.pool(net, { scenes = args.scenes, seed = args.seed,
                                frozen = args.frozen })
log(("%d scenes, seen once by the layers up to %s"):format(args.scenes, args.frozen))
assert(poison.train(net, poisoned, {
  pool = pool, steps = args.steps, batch = args.batch, rate = args.rate,
  seed = args.seed,
  checkpoint = args.out .. ".training", log = log,
}))
assert(lu.save(net, args.out, { half = true, meta = {
  data = "glyphs", shows = "ten drawn shapes; a stamp makes any of them class "
    .. args.target, examples = "glyphs", seed = tostring(args.seed),
  commit = core.build().commit,
} }))

local stored = assert(lu.load(args.out))
local n = { n = args.test }
log(("clean scenes named rightly: %.2f %%; by the clean network %.2f %%"):format(
  100 * poison.accuracy(stored, n), 100 * poison.accuracy(clean, n)))
log(("stamped scenes of other classes called %d: %.2f %%; without the stamp %.2f %%"
  ):format(args.target, 100 * poison.success(stored, poisoned, n),
  100 * select(2, poison.success(stored, poisoned, n))))
log(("the same by the clean network: %.2f %%"):format(
  100 * (poison.success(clean, poisoned, n))))
