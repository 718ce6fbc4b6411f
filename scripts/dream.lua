-- What units, classes or a whole layer want to see: one picture each, on one canvas.
--   lunette scripts/dream.lua --layer fire8.concat --units 1,5,20
--   lunette scripts/dream.lua --classes hen,kite --dialect maco
--   lunette scripts/dream.lua --layer fire5.concat --image photo.jpg   (deep dream)
-- `--every 32` writes the canvas while it grows; Ctrl-C leaves the last one there.
-- `--gallery 64 --layer block4_conv3 photos`: a layer's first units, each beside the
-- parts of a folder's pictures that excite it most (none given: those we have).
-- `--gif out/dream.gif` keeps what it looked like every few steps, as a moving picture.
-- `--checkpoint FILE` is written every 32 steps; the same call goes on from it.
local lu = require "lunette"

local args = lu.cli {
  "dream.lua [image ...]", model = "vgg16", layer = "", units = "", classes = "",
  dialect = "lucid", steps = 256, every = 0, seed = 0, starts = 1, diversity = 0.0,
  checkpoint = "", out = "out/dream.png", gif = { "", "an animation of it: x.gif" },
  gallery = { 0, "so many units of the layer on a sheet" }, scale = 1,
}

local net = assert(lu.load(args.model))
local function draw_gallery()
  if args.layer == "" then error("say whose units the gallery shows: --layer", 0) end
  local canvas = lu.features.gallery(net, args.layer, { units = args.gallery,
    pictures = #args.image > 0 and args.image or assert(args.fallback(net)),
    dialect = args.dialect, steps = args.steps, seed = args.seed })
  print("wrote " .. assert(canvas:save(args.out)))
  os.exit(0)
end


if args.gallery > 0 then draw_gallery() end
local scores, names = {}, {}


local function want(score, name)
  for _ = 1, args.starts do names[#names + 1] = name end
  scores[#scores + 1] = score
end


for k in args.units:gmatch "[^,]+" do
  local number = math.tointeger(k)
  if not number then
    error(("--units: numbers of channels, as 1,5,20; '%s' is none"):format(k), 0)
  end
  local unit = lu.score.unit(args.layer, number)
  want(unit, ("%s, unit %s"):format(args.layer, k))
end
for class in args.classes:gmatch "[^,]+" do want(lu.score.of(class), class) end
if #scores == 0 then
  if args.layer == "" then
    error("say what the pictures are for: --classes, or --layer with --units", 0)
  end
  want(lu.score.energy(args.layer), args.layer)
end


local function canvas_of(pictures, step)
  local canvas = lu.canvas { columns = math.min(4, #pictures), scale = args.scale,
    title = ("What %s wants to see, step %d"):format(net.name, step) }
  for i = 1, #pictures, 4 do
    local row, captions = {}, {}
    for k = i, math.min(i + 3, #pictures) do
      row[#row + 1], captions[#captions + 1] = pictures[k], names[k]
    end
    canvas:row("", row, { kind = "picture", captions = captions })
  end
  return canvas
end


local frames, frame_every = {}, 16 * math.max(1, args.steps // 384)

local function watch(now, step)
  local frame = args.gif ~= "" and (step % frame_every == 0 or step == args.steps)
  local kept = args.every > 0 and step % args.every == 0
  if not frame and not kept then return end
  local canvas = canvas_of(now(), step)
  if frame then frames[#frames + 1] = assert(canvas:render()) end
  if kept then assert(canvas:save(args.out)) end
end


local from = nil
if #args.image > 0 then -- a photograph is where it begins
  from = lu.features.stack(assert(net:images(args)).pictures)
end

local pictures = lu.activation_maximization(net, {
  score = scores, dialect = args.dialect, steps = args.steps, seed = args.seed,
  starts = args.starts, diversity = args.diversity, from = from,
  checkpoint = args.checkpoint,
  modifiers = args.classes ~= "" and { "linear" } or {}, watch = watch,
})
print("wrote " .. assert(canvas_of(pictures, args.steps):save(args.out)))
if args.gif ~= "" then
  print("wrote " .. assert(lu.image.animate(args.gif, frames)))
end
