-- A backward rule of one's own, beside guided and rectified.
local lu = require "lunette"

local args = lu.cli {
  "custom_modifier.lua [image ...]", model = "vgg16", classes = "8,21,33,0",
  out = "out/custom_modifier.png",
}

-- Small steps only: what comes back through a relu is kept between 0 and the mean
-- of its positive part, of each picture by itself, and only where the unit was active.
local squash = lu.modifier {
  name = "squash", on = "relu",
  backward = function(node, dy)
    local positive = dy:relu()
    return positive:minimum(lu.modifiers.each(positive, "mean")) * node.output:gt(0)
  end,
}

local net = assert(lu.load(args.model))
local images = assert(net:images(args))
local run = net:run(images, { modifiers = { "linear" } })
local canvas = lu.canvas { columns = #images, titles = images.titles,
                           title = "Backward rules, " .. net.name }
canvas:row("image", images)
for _, rule in ipairs { "guided", "rectified", squash } do
  local map = lu.saliency(run, { score = lu.score.categorical(args.classes),
                                 modifiers = { rule } })
  canvas:row(tostring(rule.name or rule), map, { captions = map.story.class_names })
end
assert(canvas:save(args.out))
print("wrote " .. args.out)
