-- Which layer? One method at every layer that has a map; the network scores each map.
-- By insertion (the score should rise soon) less deletion (it should fall soon).
--   lunette scripts/which_layer.lua photo.jpg --method gradcam --classes hen
local lu = require "lunette"

local args = lu.cli {
  "which_layer.lua [image ...]", model = "vgg16", classes = "predicted",
  method = "gradcam", steps = 20, baseline = "blur", out = "out/which_layer.png",
  scale = 1,
}

local net = assert(lu.load(args.model))
local images = assert(net:images(args))
local row = lu.methods[args.method] or error(("no method '%s'"):format(args.method), 0)
if not row.options.layer then error(args.method .. " looks at no layer", 0) end
local run = net:run(images, { modifiers = { "linear" } })
local plain = net:run(images) -- scores are probabilities, where the network has them


---Is what a convolution puts out only a part of a concatenation or sum that follows?
local function is_part(at)
  for _, layer in ipairs(net:layers()) do
    for _, from in ipairs(layer.from) do
      if from == at.name and (layer.kind == "concat" or layer.kind == "add") then
        return true
      end
    end
  end
  return false
end


---Layers with a map: convolutions, concatenations and sums, activated.
local function layers()
  local list, seen = {}, {}
  for _, kind in ipairs { "conv2d", "concat", "add" } do
    for _, layer in ipairs(net:layers(kind)) do
      local at = net:activated(layer.name)
      if #at.shape == 3 and at.shape[2] * at.shape[3] > 1 and not seen[at.name]
         and not is_part(at) then
        seen[at.name], list[#list + 1] = true, at
      end
    end
  end
  table.sort(list, function(a, b) return a.index < b.index end)
  return list
end


---The map at a layer, and for every picture insertion less deletion; their means.
local function scored(layer)
  local how = { score = args.classes, steps = args.steps, baseline = args.baseline }
  local score = row.options.score and args.classes
  local map = row(run, { layer = layer.name, score = score })
  if map:dim() == 4 then
    map = map:sum { dims = { 2 } }:resize(net.input[2], net.input[3])
  end
  local insertion, comes = lu.metrics.insertion(map, plain, how)
  local deletion, goes = lu.metrics.deletion(map, plain, how)
  local each = {}
  for i = 1, #images do each[i] = comes[i] - goes[i] end
  return map, each, insertion, deletion
end


---All layers' maps; prints each one's scores, and which is best.
local function survey()
  local found, best = {}, -math.huge
  print(("%-28s %9s %9s %9s %11s"):format("layer", "size", "insertion", "deletion",
                                          "difference"))
  for k, layer in ipairs(layers()) do
    local map, each, insertion, deletion = scored(layer)
    print(("%-28s %9s %9.3f %9.3f %+11.3f"):format(layer.name, layer.shape[2] .. " x "
      .. layer.shape[3], insertion, deletion, insertion - deletion))
    found[k] = { map = map, each = each, name = layer.name }
    if insertion - deletion > best then
      best, found.best = insertion - deletion, layer.name
    end
  end
  print(("best: %s (%+.3f)"):format(found.best, best))
  return found
end


local found = survey()
local several = #images > 1 -- a row a layer; else layers side by side
local canvas = lu.canvas { titles = several and images.titles,
  columns = several and #images or 5, scale = args.scale, cell = 160,
  title = ("%s by layer, insertion less deletion, %s"):format(args.method, net.name) }
canvas:row("", images)


---The maps of some layers as one row.
local function add_row(some)
  local maps, captions = {}, {}
  for _, at in ipairs(some) do
    for i = 1, #images do
      maps[#maps + 1] = at.map[i]
      captions[#captions + 1] = ("%s\n%+.3f"):format(at.name, at.each[i])
    end
  end
  canvas:row("", maps, { overlay = images.pictures, colormap = "jet",
                         colorbar = false, captions = captions })
end


for k = 1, #found, several and 1 or 5 do
  add_row(table.move(found, k, several and k or math.min(k + 4, #found), 1, {}))
end
assert(canvas:save(args.out))
print("wrote " .. args.out)
