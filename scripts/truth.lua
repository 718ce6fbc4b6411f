-- Which explanation lies on the object? Scenes whose masks are known, saliency and
-- Grad-CAM under three backward rules, and three metrics; two objects apart.
local lu = require "lunette"
local truth = require "lunette.glyphs.truth"

local args = lu.cli {
  "truth.lua", model = "glyphs", count = 200, seed = 2000,
  tolerance = { 0, "of the pointing game, in pixels" },
}

local net = assert(lu.load(args.model))
for objects = 1, 2 do
  local rows, right = truth.measure(net, {
    n = args.count, seed = args.seed, objects = objects, tolerance = args.tolerance,
  })
  print(("\n%s, %d scenes; the first guess is %s in %.1f %%\n"):format(
    objects == 1 and "One object" or "Two objects", args.count,
    objects == 1 and "right" or "one of the two", 100 * right))
  print(truth.markdown(rows))
end
