-- Every method on one picture, on one canvas: pixels, layers, regions.
-- Methods that sample do so a few times only, unless --whole asks for their defaults.
--   lunette scripts/gallery.lua photo.jpg --classes hen --layer fire8.concat
-- With --each FOLDER every method has a picture of its own too, a map a class:
--   lunette scripts/gallery.lua photo.jpg --classes hen,cock --each out/methods
local lu = require "lunette"

local args = lu.cli {
  "gallery.lua [image ...]", model = "vgg16", classes = "predicted", layer = "",
  out = "out/gallery.png", columns = { 8, "maps a row" },
  whole = { false, "not: fewer samples of what is slow" }, scale = 1, methods = "",
  each = { "", "a folder for a canvas of each method" },
  format = { "png", "of these: png, jpg, bmp" },
}

local net = assert(lu.load(args.model))
local images = assert(net:images(args))


---The classes that are asked about: of several the canvas shows the first.
local function asked()
  if type(args.classes) == "table" then return { args.classes[1] } end
  local list = {}
  for name in args.classes:gmatch "[^,]+" do list[#list + 1] = name end
  return list
end


local classes = asked()
local class = classes[1]
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


---From -1 to 1, the largest percent all 1; what has one sign, as RISE, from 0 to 1. Of
---what lies over the picture the positive part is drawn; where there is none, the size
---of the negative one, and what to say of that.
local function scaled(map, look)
  local against = look == over and map:stats().max <= 0 and map:stats().min < 0
  local note = against and "all below 0: |map|" or nil
  if against then map = -map end
  if look == over then map = map:relu() end
  local s = map:stats()
  local span = s.max - s.min + 1e-30
  if look ~= alone and s.min >= 0 then return (map - s.min) / span, note end
  local m = lu.core.image.percentile(map, 99)
  return map / (m > 0 and m or math.max(s.max, -s.min, 1e-30)), note
end


---An option as a survey has it: of long climbs a quarter of the steps.
local function shortened(option, key, value)
  local default = option.default
  return key == "steps" and default > 200 and default // 4 or value
end


---Has a method an option that a survey shortens? What has cells of its own needs no
---segments.
local function is_short(row, key)
  local option = row.options[key]
  return option and not (key == "segments" and not option.default) -- not in another way
end


---The options of a method in a survey.
local function options_of(row)
  local opts = {}
  for key, value in pairs(always) do opts[key] = row.options[key] and value end
  for key, value in pairs(args.whole and {} or few) do
    opts[key] = is_short(row, key) and shortened(row.options[key], key, value) or nil
  end
  if row.options.classes then
    opts.score, opts.classes = nil, args.each == "" and { class } or classes
  end
  return opts
end


---The maps (K,H,W) of the picture, one a class where the method knows classes, or nil
---where it gives none.
local function maps_of(row)
  local map = row(run, options_of(row))
  if map:dim() == 4 then map = map:sum { dims = { 2 } } end
  if map:dim() == 3 then return map:detach() end
  print(("%s is no map: %s"):format(row.name, table.concat(map:shape(), " x ")))
  return nil
end


local groups = { { title = "pixels", look = alone }, { title = "layers", look = over },
                 { title = "regions", look = over_grey } }
for _, group in ipairs(groups) do group.maps, group.names = {}, {} end


---How the maps of a row of the canvas are drawn.
local function how(look, captions)
  local o = { colorbar = false, captions = captions }
  for key, value in pairs(look) do o[key] = value end
  return o
end


---A caption, and below it what else is to be said.
local function captioned(name, note) return note and name .. "\n" .. note or name end


---A picture of one method: a map a class.
local function draw_each(row, maps, look)
  local cells, captions = {}, {}
  for k = 1, maps:dim(1) do
    local note
    cells[k], note = scaled(maps[k], look)
    captions[k] = captioned(tostring(classes[k]), note)
  end
  if not row.options.classes then captions = { "whatever the class" } end
  local canvas = lu.canvas { scale = args.scale, cell = 112 }
  canvas:row("", cells, how(look, captions))
  local path = ("%s/%s.%s"):format(args.each, row.name, args.format)
  assert(canvas:save(path, { json = false, npy = false }))
end


---Puts a method's map of the first class into its group.
local function add(row)
  local maps, look = maps_of(row), look_of(row)
  for _, group in ipairs(maps and groups or {}) do
    if group.look == look then
      local map, note = scaled(maps[1], look)
      group.maps[#group.maps + 1] = map
      group.names[#group.maps] = captioned(row.name, note)
    end
  end
  if maps and args.each ~= "" then draw_each(row, maps, look) end
end


---A group's maps in rows.
local function draw(canvas, group)
  for i = 1, #group.maps, args.columns do
    local last = math.min(i + args.columns - 1, #group.maps)
    canvas:row(i == 1 and group.title or "", table.move(group.maps, i, last, 1, {}),
               how(group.look, table.move(group.names, i, last, 1, {})))
  end
end


---Is a method among those of --methods?
local function wanted(name)
  return args.methods == "" or ("," .. args.methods .. ","):find("," .. name .. ",", 1,
                                                                 true)
end


for _, family in ipairs { "gradient", "path", "relevance", "perturbation", "cam",
                          "layer" } do
  for _, row in pairs(lu.methods) do
    if row.family == family and wanted(row.name) then add(row) end
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
