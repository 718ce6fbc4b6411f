-- Saliency of pictures under three backward rules, on one canvas.
local lu = require "lunette"

local args = lu.cli {
  "saliency.lua [image ...]", model = "vgg16", classes = "8,21,33,0",
  out = "out/saliency.png", samples = 0, noise = 0.2, scale = 1,
}

local net = assert(lu.load(args.model))
local images = assert(net:images(args))
local score = lu.score.categorical(args.classes)
local run = net:run(images, { modifiers = { "linear" } }) -- one forward pass
print(run)

local canvas = lu.canvas { columns = #images, titles = images.titles,
                           scale = args.scale, title = "Saliency, " .. net.name }
canvas:row("image", images)
for _, rule in ipairs { "vanilla", "guided", "rectified" } do
  local map = lu.saliency(run, { score = score, modifiers = { rule },
    smooth_samples = args.samples, smooth_noise = args.noise })
  canvas:row(rule, map, { captions = map.story.class_names })
end
assert(canvas:save(args.out))
print("wrote " .. args.out)
