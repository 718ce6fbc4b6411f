-- Does a concept speak for a class? Folders of pictures of the concept, of anything,
-- and of the class; without folders: does what scenes of one class share speak for one?
local lu = require "lunette"

local args = lu.cli {
  "tcav.lua", model = "glyphs",
  concept = { "", "folder of pictures with the concept (scenes of --of)" },
  random = { "", "folder of pictures without it (any scenes)" },
  pictures = { "", "folder of pictures of the class (scenes)" }, class = "star",
  of = { "star", "class whose scenes are the concept" }, layers = "", count = 24,
  runs = { 10, "directions that are fitted" }, seed = 5000,
}
local net = assert(lu.load(args.model))


---The pictures of a folder, as the network takes them.
local function folder(path)
  local paths = assert(require("lunette.base.folders").pictures(path))
  return assert(net:images(table.move(paths, 1, math.min(#paths, args.count), 1, {})))
end


---Scenes of a class, or of any.
local function scenes(name, seed)
  local found, first = {}, 1
  while #found < args.count do
    local s = lu.glyphs.scenes { n = 8, first = first, seed = seed }
    for i, label in ipairs(s.labels) do
      local wanted = not name or lu.glyphs.names[label + 1] == name
      if wanted and #found < args.count then found[#found + 1] = s.images[i] end
    end
    first = first + 8
  end
  return lu.glyphs.input(lu.stack(found, 1))
end


local x = {
  concept = args.concept ~= "" and folder(args.concept) or scenes(args.of, args.seed),
  random = args.random ~= "" and folder(args.random) or scenes(nil, args.seed + 1),
  pictures = args.pictures ~= "" and folder(args.pictures)
    or scenes(args.class, args.seed + 2),
}
local layers = {}
for name in args.layers:gmatch "[^,]+" do layers[#layers + 1] = name end
if #layers == 0 then
  layers = require("lunette.rank.candidates").layers(net)
  table.insert(layers, 1, net:last_map().name)
end
print("layer                told apart    towards it    random directions      p")
for _, layer in ipairs(layers) do
  local t = lu.tcav(net, x, { layer = layer, class = args.class, runs = args.runs })
  local low, high = math.min(table.unpack(t.random)), math.max(table.unpack(t.random))
  print(("%-20s %8.0f %% %11.0f %%  %11.0f to %3.0f %% %10.2f"):format(layer,
    100 * t.accuracy, 100 * t.share, 100 * low, 100 * high, t.p))
end
