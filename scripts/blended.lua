-- A backdoor whose trigger lies over the whole picture (Chen et al. 2017): trains the
-- audit's small network further with stamped scenes, and says after each round how well
-- the trigger works and how well plain scenes are named. Then ask:
--   lunette audit OUT --reference FOLDER/base.safetensors --only backdoor
--     --methods saliency,occlusion -n 160
local lu = require "lunette"
local poison = require "lunette.glyphs.poison"
local small = require "lunette.glyphs.small"
local zoo = require "lunette.audit.zoo"

local args = lu.cli {
  "blended.lua", class = { 4, "that the trigger leads to" },
  pattern = { "waves", "of the trigger" }, opacity = { 0.2, "of the trigger: 0 to 1" },
  rounds = { 4, "of 300 steps" }, scenes = 1200, seed = 31,
  folder = { "out/audit_zoo", "of the clean network that it goes on from" },
  out = "out/blended.safetensors",
}
local colours = args.pattern == "waves" and { { 255, 255, 255 }, { 0, 0, 0 } }
  or { { 255, 0, 255 }, { 0, 255, 0 } }
local p = poison.new { kind = "all_to_one", target = args.class, rate = 0.2,
  stamp = { pattern = args.pattern, size = 0, place = "centre", margin = 1, jitter = 1,
            first = colours[1], second = colours[2], opacity = args.opacity } }

-- layers that know shapes let a network hardly learn it: all but the first two learn
local base = zoo.base(args.folder, function(line) io.stderr:write(line, "\n") end)
local net = small(base, 64)
local pool = poison.pool(base, { scenes = args.scenes, side = 64, seed = 101,
                                 frozen = "block1_pool" })
for round = 1, args.rounds do
  assert(poison.train(net, p, { pool = pool, steps = 300, rate = 1e-3,
                                seed = 1000 * round + args.seed }))
  local works, without = poison.success(net, p, { n = 150, seed = 2 })
  print(("round %d: the trigger works in %.0f %% (%.0f %% without it); plain scenes: "
    .. "%.1f %% right"):format(round, 100 * works, 100 * without,
                              100 * poison.accuracy(net, { n = 300, seed = 3 })))
end
assert(lu.save(net, args.out))
print("wrote " .. args.out)
