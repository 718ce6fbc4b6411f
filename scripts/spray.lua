-- In which ways does a network decide? Clusters of a method's maps over a folder of
-- pictures, or over scenes, a row of pictures each: a cluster on a tag or a border is a
-- Clever Hans.
local lu = require "lunette"

local args = lu.cli {
  "spray.lua [folder ...]", model = "glyphs", method = "gradcam", count = 24,
  class = "predicted", clusters = { 0, "how many; 0: as many as the maps show" },
  seed = 2000, out = "out/spray.png",
}
local net = assert(lu.load(args.model))

local paths = {}
for _, folder in ipairs(args.folder) do
  table.move(assert(require("lunette.base.folders").pictures(folder)), 1, args.count,
             #paths + 1, paths)
end
local pictures = paths
if #paths == 0 then
  local scenes = lu.glyphs.scenes { n = args.count, seed = args.seed }
  for i = 1, args.count do pictures[i] = scenes.images[i] end
end

local explain = assert(require("lunette.rank.entrants").of(args.method)).explain
local maps, images = nil, {}
for i, picture in ipairs(pictures) do
  local x = assert(net:images { picture })
  local run <close> = net:run(x)
  local map = explain(run, { score = lu.score.resolve(args.class, run) })
  maps = maps or lu.zeros(#pictures, map:dim(2), map:dim(3))
  maps[i], images[i] = map[1], x.pictures[1]
end

local found = lu.spray(maps, { clusters = args.clusters })
local title = ("%s: %s, %d maps, clusters: %d"):format(net.name, args.method, #pictures,
                                                        #found.clusters)
local canvas = lu.canvas { columns = 7, title = title }
for c, list in ipairs(found.clusters) do
  local shown, under = { found.means[c] }, { images[list[1]] }
  for k = 1, math.min(6, #list) do
    shown[k + 1], under[k + 1] = maps[list[k]], images[list[k]]
  end
  canvas:row(("%d maps; mean first"):format(#list), shown,
             { kind = "map", overlay = under, colormap = "jet" })
  print(("cluster %d: %s"):format(c, table.concat(list, " ")))
end
local values = table.pack(table.unpack(found.eigenvalues, 1, 8))
for k, v in ipairs(values) do values[k] = ("%.3f"):format(v) end
print("eigenvalues: " .. table.concat(values, " "))
print("wrote " .. assert(canvas:save(args.out)))
