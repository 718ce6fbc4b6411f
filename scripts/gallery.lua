-- Every method that needs no other options, one picture a method, on one canvas.
local lu = require "lunette"

local args = lu.cli {
  "gallery.lua [image ...]", model = "vgg16", classes = "predicted",
  out = "out/gallery.png", columns = 6, scale = 1,
}

local net = assert(lu.load(args.model))
local images = assert(net:images(args))
local x = images:rows(1)
local run = net:run(x)

---Few samples: a gallery is a survey.
local few = { samples = 8, count = 60, steps = 16, most = 16, segments = 4,
              max_sigma = 10, window = 28, stride = 14 }

local canvas, row, titles = lu.canvas { columns = args.columns, scale = args.scale,
  title = "Methods, " .. net.name }, {}, {}
canvas:row("", { images.pictures[1] })
local function flush()
  if #row > 0 then canvas:row("", row, { captions = titles, colorbar = false }) end
  row, titles = {}, {}
end
for name, method in pairs(lu.methods) do
  local opts = {}
  for key, value in pairs(few) do
    if method.options[key] then opts[key] = value end
  end
  if method.options.score then
    opts.score = type(args.classes) == "table" and args.classes[1] or args.classes
  end
  if method.options.modifiers then opts.modifiers = { "linear" } end
  local map = require("lunette.picture.drawn").planes(method(run, opts))
  if map:dim() == 3 then row[#row + 1], titles[#titles + 1] = map[1], name end
  if #row == args.columns then flush() end
end
flush()
assert(canvas:save(args.out))
print("wrote " .. args.out)
