-- What one's own way of making a unit's picture reaches beside tf-keras-vis' algorithm:
-- the score of the same units after as many steps, a layer after the other.
--   lunette scripts/dream_dialects.lua --layers fire3.concat,fire8.concat
-- Of `lucid` the best picture counts, as the network sees it unmoved; of tf-keras-vis
-- the best of all steps, before the picture is clipped.
local lu = require "lunette"

local args = lu.cli {
  "dream_dialects.lua", model = "squeezenet1_0", steps = 256, seed = 0,
  units = "1,5,21",
  layers = "fire2.concat,fire3.concat,fire4.concat,fire5.concat,fire6.concat,"
    .. "fire7.concat,fire8.concat,fire9.concat",
}

local net = assert(lu.load(args.model))
local units = {}
for k in args.units:gmatch "%d+" do units[#units + 1] = math.tointeger(k) end


local function reached(dialect, scores)
  local pictures, trace = lu.activation_maximization(net, {
    dialect = dialect, score = scores, steps = args.steps, seed = args.seed })
  if dialect == "lucid" then return pictures.story.values end
  local best = {}
  for _, step in ipairs(trace) do
    for i, v in ipairs(step.values:totable()) do best[i] = math.max(best[i] or v, v) end
  end
  return best
end


local head = "%-14s %4s %12s %12s %6s"
print(head:format("layer", "unit", "lucid", "tf-keras-vis", "times"))
local twice, all = 0, 0
for layer in args.layers:gmatch "[^,]+" do
  local scores = {}
  for i, k in ipairs(units) do scores[i] = lu.score.unit(layer, k) end
  local a, b = reached("lucid", scores), reached("tf-keras-vis", scores)
  for i, k in ipairs(units) do
    print(("%-14s %4d %12.4g %12.4g %6.1f"):format(layer, k, a[i], b[i], a[i] / b[i]))
    io.stdout:flush()
    twice, all = twice + (a[i] >= 2 * b[i] and 1 or 0), all + 1
  end
end
print(("%d of %d units: at least twice as much"):format(twice, all))
