-- Every method on one picture, on one canvas: pixels, layers, regions.
-- Methods that sample do so a few times only, unless --whole asks for their defaults.
--   lunette scripts/gallery.lua photo.jpg --classes hen --layer fire8.concat
local lu = require "lunette"

local args = lu.cli {
  "gallery.lua [image ...]", model = "vgg16", classes = "predicted", layer = "",
  out = "out/gallery.png", columns = 8, whole = false, scale = 1,
}

local net = assert(lu.load(args.model))
local images = assert(net:images(args))
local class = type(args.classes) == "table" and args.classes[1] or args.classes
local run = net:run(images:rows(1), { modifiers = { "linear" } })


---The last map, or what a classifier that is a convolution itself reads (SqueezeNet).
local function features()
  local last, convolutions = net:last_map(), net:layers "conv2d"
  for _, dense in ipairs(net:layers "linear") do
    if dense.index > last.index then return last.name end
  end
  return convolutions[#convolutions].from[1]
end


local layer = args.layer ~= "" and args.layer or features()

---What keeps a survey short, and the strongest channel for what is of one unit.
local few = { samples = 64, count = 128, steps = 16, most = 32, segments = 4,
              designs = 64, cells = 4, max_sigma = 20, window = 32, stride = 16 }
local each = lu.gradient_x_activation(run, { score = class, layer = layer })
local always = { layer = layer, score = class,
                 unit = math.floor(each[1]:sum { dims = { 2, 3 } }:argmax()) }

local over = { overlay = images.pictures[1], colormap = "jet", vmin = 0, vmax = 1 }
local over_grey = { overlay = images.pictures[1], grey = true, alpha = 0.6,
                    colormap = "coolwarm", vmin = -1, vmax = 1 }
local alone = { colormap = "coolwarm", vmin = -1, vmax = 1 }


---How a method's map is drawn: of a layer over the picture, of regions over a grey one,
---of pixels by itself.
local function look_of(row)
  if row.draws == "overlay" or row.draws == "channels" then return over end
  return row.family == "perturbation" and over_grey or alone
end


---From -1 to 1, the largest percent all 1; what has one sign, as RISE, from 0 to 1.
local function scaled(map, look)
  if look == over then map = map:relu() end
  local s = map:stats()
  local span = s.max - s.min + 1e-30
  if look ~= alone and s.min >= 0 then return (map - s.min) / span end
  local m = lu.core.image.percentile(map, 99)
  return map / (m > 0 and m or math.max(s.max, -s.min, 1e-30))
end


---An option as a survey has it: of long climbs a quarter of the steps.
local function shortened(option, key, value)
  local default = option.default
  return key == "steps" and default > 200 and default // 4 or value
end


---The map (H,W) of the picture, or nil where the method gives none.
local function map_of(row)
  local opts = {}
  for key, value in pairs(always) do opts[key] = row.options[key] and value end
  for key, value in pairs(args.whole and {} or few) do
    opts[key] = row.options[key] and shortened(row.options[key], key, value)
  end
  local map = row(run, opts)
  if map:dim() == 4 then map = map:sum { dims = { 2 } } end
  if map:dim() == 3 then return map:detach()[1] end
  print(("%s is no map: %s"):format(row.name, map))
  return nil
end


local groups = { { title = "pixels", look = alone }, { title = "layers", look = over },
                 { title = "regions", look = over_grey } }
for _, group in ipairs(groups) do group.maps, group.names = {}, {} end


---Puts a method's map into its group.
local function add(row)
  local map = map_of(row)
  for _, group in ipairs(map and groups or {}) do
    if group.look == look_of(row) then
      group.maps[#group.maps + 1] = scaled(map, group.look)
      group.names[#group.maps] = row.name
    end
  end
end


---A group's maps in rows.
local function draw(canvas, group)
  for i = 1, #group.maps, args.columns do
    local last = math.min(i + args.columns - 1, #group.maps)
    local how = { colorbar = false,
                  captions = table.move(group.names, i, last, 1, {}) }
    for key, value in pairs(group.look) do how[key] = value end
    canvas:row(i == 1 and group.title or "",
               table.move(group.maps, i, last, 1, {}), how)
  end
end


for _, family in ipairs { "gradient", "path", "relevance", "perturbation", "cam",
                          "layer" } do
  for _, row in pairs(lu.methods) do
    if row.family == family then add(row) end
  end
end
local canvas = lu.canvas { columns = args.columns, scale = args.scale, cell = 160,
  title = ("What the methods say of %s, %s"):format(net.name, layer) }
canvas:row("picture", { images.pictures[1] }, { captions = { images.titles[1] } })
for _, group in ipairs(groups) do
  if #group.maps > 0 then draw(canvas, group) end
end
assert(canvas:save(args.out))
print("wrote " .. args.out)
