---`lunette explain IMAGE...`: which classes, and where the network looked.
local cli = require "lunette.commands.cli"
local flags = require "lunette.commands.method_flags"
local lfs = require "lfs"
local methods = require "lunette.methods"
local rows = require "lunette.base.rows"
local text = require "lunette.base.text"


---The row of the method that the arguments name: its options are flags, so it is known
---before they are parsed.
---@return lunette.Method? row, string name
local function row_of(args)
  local name = "gradcam"
  for i, word in ipairs(args) do
    name = word == "--method" and args[i + 1] or word:match "^%-%-method=(.*)" or name
  end
  return methods[name], name
end


---What argparse says, but of a flag that other methods have: whose it is.
local function say_whose(message)
  local name = message:match "unknown option '%-%-([%w-]+)'"
    or message:find "unknown option '%-l'" and "layer"
  local whose = name and flags.whose(name) or {}
  if #whose == 0 then return message end
  return ("--%s is for %s"):format(name, flags.enumerate(whose))
end


local function parser_for(row)
  local p = cli.parser("lunette explain",
    "Prints the five most probable classes and draws an explanation.", say_whose)
  p:epilog("Every method has options of its own: lunette explain --method NAME --help")
  local names = rows.names(methods)
  p:argument("image", "pictures (JPEG, PNG, BMP); none: examples"):args "*"
  p:option("-m --model", "installed model, or a model file (default: vgg16)")
  p:option("--side", "pictures of this size instead of the network's own: 448, or "
           .. "300x500")
  p:option("--method", "how: " .. flags.enumerate(names)):argname "<method>"
    :default "gradcam"
  p:option("-c --class", "class id or name (default: the most probable)")
  p:option("--modifier", "backward rule (may be repeated): "
           .. flags.enumerate(require("lunette.modifiers").usage())):count "*"
  local dialects = #row.dialects > 0 and row.dialects or { row.name .. " has one only" }
  p:option("--dialect", "whose numbers: " .. flags.enumerate(dialects))
  p:option("-o --out", "picture (.png) or folder"):default "out/"
  p:option("--colormap", "jet, viridis, magma, ... (default jet for overlays)")
  p:option("--fit", "how a photograph gets the network's size: stretch, crop, pad "
    .. "(default: as the weights were evaluated)"):choices { "stretch", "crop", "pad" }
  p:option("--filter", "how it is resized"):choices { "nearest", "box", "bilinear",
    "hamming", "bicubic", "lanczos" }
  p:flag("--orient", "turn photographs as their EXIF orientation says")
  p:option("--scale", "1 or 2"):default(1):convert(tonumber)
  p:option("--threads", "threads"):convert(tonumber)
  p:flag("--raw", "signed values, not normalised")
  p:flag("--trust", "check the map: another class, other weights, its pixels, noise; "
         .. "what is found is said, and drawn under it")
  flags.add(p, row)
  return p
end


local function options(args)
  local row, name = row_of(args)
  local parser = parser_for(row or methods.gradcam)
  if not row then
    local names = rows.names(methods)
    parser:error(("method '%s' not found%s (there are: %s)"):format(name,
      require("lunette.base.suggest").after(name, names), table.concat(names, ", ")))
  end
  local o = parser:parse(args)
  if not o.model then
    local note
    o.model, note = require("lunette.commands.defaults").model "vgg16"
    if note then text.complain(note) end
  end
  return o
end


local function fail(code, message)
  text.complain(message)
  return code
end


---A folder that is there, or a name without a suffix for one that is not yet.
local function is_folder(out)
  local mode = lfs.attributes(out, "mode")
  return mode == "directory" or not mode and not out:find "[^/]%.%w+$"
end


---Why `out` is neither a picture's name nor a folder, or nil.
local function check_out(out)
  if out == "" then return "--out is empty: give a picture's name or a folder" end
  if is_folder(out) then return nil end
  local format, message = require("lunette.picture.image").format_of(out)
  return not format and "--out " .. message .. ", or give a folder" or nil
end


---Flags that the chosen method has no use for, as a message, or nil.
local function check_method(o)
  local row = methods[o.method]
  if not row.options.score and (#o.modifier > 0 or o.class) then
    return o.method .. " has no score: --class and --modifier change nothing"
  end
  for flag, key in pairs { dialect = "dialect", raw = "raw" } do
    if o[flag] and not row.options[key] then
      local those = flags.having(function(r) return r.options[key] end)
      return ("--%s is for %s"):format(flag, flags.enumerate(those))
    end
  end
  return nil
end


---The classes of every picture, or nil where the network has none.
local function classes_of(run, k)
  local ok, list = pcall(run.top, run, k)
  return ok and list or nil, list
end


local function print_top(run, names)
  local list, message = classes_of(run, 5)
  if not list then
    text.say((message:gsub("^top: ", "")) .. "; --class N means its channel N, from 0")
  end
  for i, row in ipairs(list or {}) do
    text.say(names[i])
    for _, c in ipairs(row) do
      text.say("  " .. require("lunette.net.report").class_text(c, run:kind()))
    end
  end
end


---What the method is called with. A softmax is left out: its gradient says less.
local function method_options(o, run)
  local row, kind = methods[o.method], run.output_layer.kind
  local opts = flags.read(o, row)
  opts.dialect, opts.raw = o.dialect, o.raw or nil
  if not row.options.score then return opts end
  local mods = {}
  if kind == "softmax" or kind == "log_softmax" then mods[1] = "linear" end
  for _, m in ipairs(o.modifier) do mods[#mods + 1] = m end
  opts.modifiers = mods
  if not opts.classes and not opts.top then opts.score = o.class or "predicted" end
  return opts
end


---The class of each map with its probability, or its value where it has none; of the
---k-th maps of the pictures, where every picture has several.
local function captions(run, map, k)
  local list, p, first = {}, run:probabilities(), ((k or 1) - 1) * run:count()
  for i, row in ipairs(map.story.classes and classes_of(run, math.maxinteger) or {}) do
    for _, c in ipairs(row) do
      if c.class == map.story.classes[first + i] then
        list[i] = p and ("%s  %.1f %%"):format(c.name, 100 * c.probability)
          or ("%s  %.4g"):format(c.name, c.score)
      end
    end
  end
  return list
end


---What checks of the maps found, below the captions.
local function add_trust(list, report, n)
  local texts = report and report:captions() or {}
  for i = 1, report and n or 0 do
    list[i] = (list[i] and list[i] .. "\n" or "") .. texts[i]
  end
  return list
end


---A row of maps, or one for every class of several.
local function add_rows(canvas, run, shown, map, title, opts, report)
  local n, maps = run:count(), map.story.maps or 1
  for k = 1, maps do
    opts.captions = add_trust(captions(run, map, k), report, n)
    local some = maps > 1 and shown:rows((k - 1) * n + 1, k * n) or shown
    some.story = map.story
    canvas:row(k == 1 and title or "", some, opts)
  end
end


---Laid over the picture where the method's row says so, and where the map has as many
---values as a layer.
local function draw(o, run, map, path, report)
  local canvas = require "lunette.picture.canvas" {
    columns = run:count(), scale = o.scale,
    title = ("%s: %s"):format(run.net.name, o.method) }
  canvas:row("image", run.images)
  local title = o.method .. (map.story.layer and " " .. map.story.layer or "")
  local opts = { colormap = o.colormap, wrap = report ~= nil }
  local draws = methods[o.method].draws
  local shown = map
  if draws == "overlay" or draws == "channels" then
    local h, w = run.net.input[2], run.net.input[3]
    shown = require("lunette.picture.drawn").planes(map)
    if shown:dim(2) ~= h or shown:dim(3) ~= w then
      shown = shown:resize(h, w, { align_corners = true })
    end
    shown.story = map.story
    opts.overlay, opts.colormap = run.images.pictures, o.colormap or "jet"
  end
  add_rows(canvas, run, shown, map, title, opts, report)
  return canvas:save(path)
end


---The pictures that were named, or else examples.
local function pictures_of(net, o)
  return net:images { image = o.image, fit = o.fit, filter = o.filter,
                      orient = o.orient, fallback = function()
    local pictures, classes, names = require("lunette.commands.defaults").pictures(net)
    return pictures, pictures and names or classes
  end }
end


---One line that says what was drawn.
local function headline(o, run, story)
  local line = o.method .. " of " .. run.net.name
  if story.layer then line = line .. ", layer " .. story.layer end
  local several = type(story.score) == "table" and table.concat(story.score, " ")
  if story.score then line = line .. ", score " .. (several or story.score) end
  for _, name in ipairs(story.modifiers or {}) do
    local n = (story.changed_nodes or {})[name]
    line = line .. ", " .. name .. (n and n > 1 and (" (%d nodes)"):format(n) or "")
  end
  return line
end


---What relu threw away of a class activation map, where that is worth a line.
local function say_lost(share)
  if type(share) ~= "number" or share < 0.005 then return end
  text.say(("%.0f %% of the map was negative, against the class; --raw shows "
            .. "it"):format(100 * share))
end


---Checks the maps where that is asked for, and says what is found.
local function check_trust(o, run, map)
  if not o.trust then return nil end
  local report = require("lunette.trust").of(map, run)
  text.say(tostring(report))
  map.story.trust = report.images
  return report
end


---What --side asks of the network: "448" or "300x500".
local function size_of(o)
  if not o.side then return nil end
  local h, w = o.side:match "^(%d+)x?(%d*)$"
  h, w = tonumber(h), tonumber(w)
  if not h then return nil, ("--side %s: a number, or HEIGHTxWIDTH"):format(o.side) end
  return { side = { h, w or h } }
end


---@param args string[]
---@return integer exit code
return function(args)
  local o = options(args)
  if o.threads then require("lunette.core").threads(o.threads) end
  local size, bad_size = size_of(o)
  local wrong = check_out(o.out) or check_method(o) or bad_size
  if wrong then return fail(64, wrong) end
  local net, message = require("lunette.weights.load").load(o.model, size)
  if not net then return fail(66, message) end
  local images
  images, message = pictures_of(net, o)
  if not images then return fail(66, message) end
  local run = net:run(images)
  print_top(run, images.names)
  local map = methods[o.method](run, method_options(o, run))
  text.say(headline(o, run, map.story))
  say_lost(map.story.negative_share)
  local report = check_trust(o, run, map)
  local path = o.out
  if is_folder(path) then
    path = require("lunette.commands.output_name").choose(path, images.names, o,
      map.story)
  end
  local ok
  ok, message = draw(o, run, map, path, report)
  if not ok then return fail(74, message) end
  text.say("wrote " .. path)
  return 0
end
