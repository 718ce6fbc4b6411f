-- Trains the embedded network from nothing, on scenes that are drawn as it goes,
-- and measures it on scenes that it has never seen. Killed and started again, it
-- goes on from its last checkpoint.
local lu = require "lunette"

local args = lu.cli {
  "train_glyphs.lua", out = "weights/glyphs.safetensors", seed = 1,
  width = { 0.125, "share of VGG16's channels" }, fc = { 128, "units of fc1 and fc2" },
  batch = 16, small_steps = { 9000, "on small scenes, before the steps" },
  steps = 2200, rate = 1e-3, test = 2000,
}

require "lunette.glyphs.recipe" {
  out = args.out, seed = args.seed, width = args.width, fc = args.fc,
  batch_size = args.batch, small_steps = args.small_steps, steps = args.steps,
  rate = args.rate, test = args.test,
  log = function(line)
    print(os.date "!%H:%M:%S", line)
    io.stdout:flush()
  end,
}
