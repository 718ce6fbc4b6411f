---`lunette explain IMAGE...`: which classes, and where the network looked.
local cli = require "lunette.commands.cli"
local lfs = require "lfs"


local function options(args)
  local p = cli.parser("lunette explain",
    "Prints the five most probable classes and draws an explanation.")
  p:argument("image", "pictures (JPEG, PNG, BMP); none: examples"):args "*"
  p:option("-m --model", "installed model or .safetensors file (default: vgg16)")
  p:option("--method", "gradcam, saliency or activation"):default "gradcam"
    :choices { "gradcam", "saliency", "activation" }
  p:option("-c --class", "class id or name (default: the most probable)")
  p:option("-l --layer", "layer of gradcam or activation (default: last convolution)")
  p:option("--modifier", "backward rule: guided, rectified, rectified:leak=0.1, "
           .. "deconvnet (may be repeated)"):count "*"
  p:option("--samples", "noisy copies (SmoothGrad, for saliency)"):convert(tonumber)
  p:option("--dialect", "tf-keras-vis, captum or pytorch-grad-cam")
    :default "tf-keras-vis"
  p:option("-o --out", "picture (.png) or folder"):default "out/"
  p:option("--colormap", "jet, viridis, magma, ... (default jet for overlays)")
  p:option("--scale", "1 or 2"):default(1):convert(tonumber)
  p:option("--threads", "threads"):convert(tonumber)
  p:flag("--raw", "signed values, not normalised")
  local o = p:parse(args)
  if not o.model then
    local note
    o.model, note = require("lunette.commands.defaults").model "vgg16"
    if note then io.stderr:write("lunette: ", note, "\n") end
  end
  return o
end


local function fail(code, message)
  io.stderr:write("lunette: ", message, "\n")
  return code
end


---A folder that is there, or a name without a suffix for one that is not yet.
local function is_folder(out)
  local mode = lfs.attributes(out, "mode")
  return mode == "directory" or not mode and not out:find "[^/]%.%w+$"
end


---Why `out` is neither a picture's name nor a folder, or nil.
local function check_out(out)
  if is_folder(out) then return nil end
  local format, message = require("lunette.picture.image").format_of(out)
  return not format and "--out " .. message .. ", or give a folder" or nil
end


---Options that the chosen method would not use, or nil.
local function check_method(o)
  if o.layer and o.method == "saliency" then
    return "--layer is for gradcam and activation"
  elseif o.samples and o.method ~= "saliency" then
    return "--samples is for saliency"
  elseif o.method == "activation" and (#o.modifier > 0 or o.class) then
    return "activation has no score: --class and --modifier change nothing"
  end
  return nil
end


local function file_name(o, names)
  if not is_folder(o.out) then return o.out end
  local base = (names[1] or "scene"):match "([^/]*)$":gsub("%.%w+$", ""):gsub("%s", "_")
  if #names > 1 then base = ("%s+%d"):format(base, #names - 1) end
  return ("%s/%s_%s.png"):format(o.out:gsub("/+$", ""), base, o.method)
end


local function print_top(run, names)
  for i, row in ipairs(run:top(5)) do
    print(names[i])
    for _, c in ipairs(row) do
      print("  " .. require("lunette.net.report").class_text(c, run:kind()))
    end
  end
end


local function method_options(o, run)
  local mods, kind = {}, run.output_layer.kind
  if kind == "softmax" or kind == "log_softmax" then mods[1] = "linear" end
  for _, m in ipairs(o.modifier) do mods[#mods + 1] = m end
  local opts = { score = o.class or "predicted", modifiers = mods, dialect = o.dialect,
                 raw = o.raw or nil }
  opts.layer, opts.smooth_samples = o.layer, o.samples
  if o.method == "activation" then opts.modifiers = {} end
  return opts
end


---What the map shows, (N,H,W) for drawing.
local function drawable(map, o)
  if map:dim() == 4 then -- channels: their mean, or the strongest gradient
    return o.method == "activation" and map:mean { dims = { 2 } }
      or map:abs():max { dims = { 2 } }
  end
  return map
end


---The class of each map with its probability, or its value where it has none.
local function captions(run, map)
  local list, p = {}, run:probabilities()
  for i, row in ipairs(map.story.classes and run:top(math.maxinteger) or {}) do
    for _, c in ipairs(row) do
      if c.class == map.story.classes[i] then
        list[i] = p and ("%s  %.1f %%"):format(c.name, 100 * c.probability)
          or ("%s  %.4g"):format(c.name, c.score)
      end
    end
  end
  return list
end


local function draw(o, run, map, names)
  local canvas = require "lunette.picture.canvas" {
    columns = run:count(), scale = o.scale,
    title = ("%s: %s"):format(run.net.name, o.method) }
  canvas:row("image", run.images)
  local title = o.method .. (map.story.layer and " " .. map.story.layer or "")
  local shown = drawable(map, o)
  shown.story = map.story
  local opts = { captions = captions(run, map), colormap = o.colormap }
  if o.method ~= "saliency" then
    shown = shown:dim(2) == run.net.input[2] and shown
      or shown:resize(run.net.input[2], run.net.input[3], { align_corners = true })
    shown.story = map.story
    opts.overlay, opts.colormap = run.images.pictures, o.colormap or "jet"
  end
  canvas:row(title, shown, opts)
  return canvas:save(file_name(o, names))
end


local function pictures_of(net, o)
  if #o.image > 0 then
    if net.meta.data == "glyphs" then
      require "lunette.base.warn"("this network knows glyphs only (disc, ring, "
        .. "square ...); its answer to a photograph means nothing")
    end
    return net:images(o.image)
  end
  local what, message, names = require("lunette.commands.defaults").pictures(net)
  if not what then return nil, message end
  local images
  images, message = net:images(what)
  if images and names then images.names = names end
  return images, message
end


---One line that says what was drawn.
local function headline(o, run, story)
  local text = o.method .. " of " .. run.net.name
  if story.layer then text = text .. ", layer " .. story.layer end
  if story.score then text = text .. ", score " .. story.score end
  for _, name in ipairs(story.modifiers) do
    local n = (story.changed_nodes or {})[name]
    text = text .. ", " .. name .. (n and n > 1 and (" (%d nodes)"):format(n) or "")
  end
  return text
end


---@param args string[]
---@return integer exit code
return function(args)
  local o = options(args)
  if o.threads then require("lunette.core").threads(o.threads) end
  local wrong = check_out(o.out) or check_method(o)
  if wrong then return fail(64, wrong) end
  local net, message = require("lunette.weights.load").load(o.model)
  if not net then return fail(66, message) end
  local images
  images, message = pictures_of(net, o)
  if not images then return fail(66, message) end
  local run = net:run(images)
  print_top(run, images.names)
  local map = require("lunette.methods." .. o.method)(run, method_options(o, run))
  print(headline(o, run, map.story))
  local ok
  ok, message = draw(o, run, map, images.names)
  if not ok then return fail(74, message) end
  print("wrote " .. file_name(o, images.names))
  return 0
end
