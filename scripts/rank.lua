-- Which explanation is the best? Some methods and two controls by every measure, over
-- scenes whose objects are known; values.csv is taken up again. (`lunette rank` does
-- the same for all methods, and for folders.)
local lu = require "lunette"

local args = lu.cli {
  "rank.lua [method ...]", model = "glyphs", count = 8, seed = 2000,
  seconds = { 0, "stop after so many, to go on later; 0: not" }, out = "out/ranking",
}
local methods = args.method
if #methods == 0 then
  methods = { "gradcam", "layercam", "lrp", "saliency", "saliency:guided", "random",
              "edges" }
end

local net = assert(lu.load(args.model))
local scenes = require("lunette.glyphs.cases").source { count = args.count,
                                                        seed = args.seed }
local report, work = lu.rank(net, scenes, { methods = methods, seconds = args.seconds,
                                            values = args.out .. "/values.csv" })
print(report:markdown())
print("\n" .. report:leaders())
print("\n" .. report:agreement())
local image = report:chart(("%s: %d scenes"):format(net.name, report.pictures))
assert(require("lunette.base.files").write(args.out .. "/rank.png", image:encode "png"))
if work.stopped then print "there is more to do: call it again" end
