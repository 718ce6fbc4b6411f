-- Grad-CAM of pictures under three backward rules, drawn over the pictures.
local lu = require "lunette"

local args = lu.cli {
  "gradcam.lua [image ...]", model = "vgg16", classes = "8,21,33,0", layer = "",
  out = "out/gradcam.png", scale = 1, brief = false,
}

local net = assert(lu.load(args.model))
local images = assert(net:images(args))
local score = lu.score.categorical(args.classes)
local layer = args.layer ~= "" and args.layer or net:last_map().name
local run = net:run(images, { modifiers = { "linear" } })
if not args.brief then print(run) end

local canvas = lu.canvas { columns = #images, titles = images.titles,
  scale = args.scale, title = ("Grad-CAM at %s, %s"):format(layer, net.name) }
canvas:row("image", images)
for _, rule in ipairs { "vanilla", "guided", "rectified" } do
  if run:changes(rule, layer)[rule] == 0 then -- no relu between layer and score
    print(("%s: as vanilla, no layer between %s and the score has such a rule"):format(
          rule, layer))
  else
    local map = lu.gradcam(run, { score = score, layer = layer, modifiers = { rule } })
    canvas:row(rule, map, { overlay = images.pictures, colormap = "jet",
                            captions = map.story.class_names })
  end
end
assert(canvas:save(args.out))
print("wrote " .. args.out)
