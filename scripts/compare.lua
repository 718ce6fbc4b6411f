-- Two maps of the same pictures: SSIM, Spearman's rank correlation, where they differ.
--   lunette scripts/compare.lua photo.jpg --methods gradcam,scorecam
--   lunette scripts/compare.lua photo.jpg --methods saliency --rules vanilla,guided
--   lunette scripts/compare.lua photo.jpg --methods gradcam --layers block4_conv3,
--   lunette scripts/compare.lua --maps first.npy,second.npy    (as canvases write them)
local lu = require "lunette"

---Files are compared without a network: then none is looked for.
local function of_files()
  for _, word in ipairs(arg) do
    if word:find "^%-%-maps" then return true end
  end
  return false
end


local args = lu.cli {
  "compare.lua [image ...]", model = of_files() and "glyphs" or "vgg16",
  classes = "predicted",
  methods = "gradcam", rules = { "vanilla", "backward rules, one or two: a,b" },
  layers = "", maps = { "", "two .npy files instead: a.npy,b.npy" },
  out = "out/compare.png", scale = 1,
}


---The k-th of "a,b"; a single one is for both, an empty one nil.
local function nth(list, k)
  local words = {}
  for word in (list .. ","):gmatch "([^,]*)," do words[#words + 1] = word end
  local word = words[k] or words[1]
  return word ~= "" and word or nil
end


---(N,H,W) from 0 to 1: one scale for both, so that differences mean something.
local function brought(map)
  if map:dim() == 4 then map = map:abs():sum { dims = { 2 } } end
  if map:dim() == 2 then map = map:view(1, map:dim(1), map:dim(2)) end
  return map:detach():normalize()
end


---The k-th map of the run, and what it is called.
local function explained(run, k)
  local name, rule = nth(args.methods, k), nth(args.rules, k)
  local layer = nth(args.layers, k)
  local row = lu.methods[name] or error(("no method '%s'"):format(name), 0)
  local opts = { score = row.options.score and args.classes, layer = layer }
  if rule ~= "vanilla" then opts.modifiers = { rule } end
  if layer then name = name .. " " .. layer end
  if rule ~= "vanilla" then name = name .. " " .. rule end
  return brought(row(run, opts)), name
end


---Maps of files, or of pictures, with their names.
local function both()
  if args.maps ~= "" then
    local one, two = nth(args.maps, 1), nth(args.maps, 2)
    local a, b = assert(lu.npy.read(one)), assert(lu.npy.read(two))
    return brought(a), brought(b), one, two
  end
  local net = assert(lu.load(args.model))
  local images = assert(net:images(args))
  local run = net:run(images, { modifiers = { "linear" } })
  local a, one = explained(run, 1)
  local b, two = explained(run, 2)
  return a, b, one, two, images
end


---"14 x 14", of a map's height and width.
local function size_of(map) return ("%d x %d"):format(map:dim(2), map:dim(3)) end


---Maps of one size: the smaller one is enlarged to the other, which is said.
local function alike(a, b, one, two)
  if a:dim(1) ~= b:dim(1) then
    error(("%s holds %d maps and %s %d: compare maps of the same pictures"):format(one,
          a:dim(1), two, b:dim(1)), 0)
  end
  if size_of(a) == size_of(b) then return a, b end
  local first = a:dim(2) * a:dim(3) < b:dim(2) * b:dim(3)
  local small, large = first and a or b, first and b or a
  print(("%s is %s, %s %s: enlarged to %s, bilinearly, before they are compared"
    ):format(one, size_of(a), two, size_of(b), size_of(large)))
  small = small:resize(large:dim(2), large:dim(3))
  if first then return small, large end
  return large, small
end


local a, b, one, two, images = both()
a, b = alike(a, b, one, two)
local titles = images and images.titles or {}
local _, ssim, windows = lu.metrics.ssim(a, b)
local _, spearman = lu.metrics.spearman(a, b)
local captions, apart, unlike = {}, a - b, {}
for i = 1, #ssim do
  captions[i] = ("SSIM %.2f, Spearman %.2f"):format(ssim[i], spearman[i])
  local off, w = apart[i]:abs():view(apart[i]:size()), a:dim(3)
  local at = math.floor(off:argmax()) - 1
  local where = off[at + 1] < 1e-6 and "the same map" -- each from 0 to 1
    or ("most apart at row %d, column %d"):format(at // w + 1, at % w + 1)
  print(("%s: %s; %s"):format(titles[i] or "map " .. i, captions[i], where))
  unlike[i] = 1 - windows[i]
end

local canvas = lu.canvas { columns = #ssim, titles = titles, scale = args.scale,
                           title = one .. " and " .. two }
if images then canvas:row("picture", images) end
local under = images and { overlay = images.pictures, colormap = "jet" } or {}
canvas:row(one, a, under):row(two, b, under)
canvas:row("first - second", apart, { colormap = "coolwarm", vmin = -1, vmax = 1 })
canvas:row("1 - local SSIM", unlike, { colormap = "magma", vmin = 0, vmax = 1,
                                       captions = captions })
assert(canvas:save(args.out))
print("wrote " .. args.out)
