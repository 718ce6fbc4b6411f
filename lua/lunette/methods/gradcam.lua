local channel_means = require "lunette.explain.channel_means"
local common = require "lunette.explain.method"

local own = { layer = false, relu = true, expand = true }


---Each dialect's order of relu, resize and normalisation.
local finish = {
  ["tf-keras-vis"] = function(cam, h, w, o)
    if o.relu then cam = cam:relu() end
    if o.expand then cam = cam:resize(h, w, { align_corners = true }) end
    return o.normalize and cam:normalize() or cam
  end,
  captum = function(cam, _, _, o) -- LayerGradCam: as it is, unless asked
    return o.asked_relu and cam:relu() or cam
  end,
  ["pytorch-grad-cam"] = function(cam, h, w, o)
    if o.relu then cam = cam:relu() end
    if o.normalize then cam = cam:normalize() end
    if o.expand then cam = cam:resize(h, w) end
    cam = cam:relu()
    return o.normalize and cam:normalize() or cam
  end,
}


local function find_layer(net, o)
  local layer, message
  if o.layer then
    layer, message = net:activated(o.layer)
    if not layer then error("gradcam: " .. message, 0) end
  else
    layer = net:last_conv()
    if not layer then error("gradcam: " .. net.name .. " has no convolution", 0) end
  end
  if #layer.shape ~= 3 or layer.shape[2] * layer.shape[3] == 1 then
    error(("gradcam: layer '%s' has shape (%s), no height and width; choose a "
           .. "convolution, for example '%s'"):format(layer.name,
          table.concat(layer.shape, ","), (net:last_conv() or {}).name or "?"), 0)
  end
  return layer
end


---What a run made for Grad-CAM keeps: the values from that layer on.
local function first_kept(net, o) return find_layer(net, o).name end


---@class lunette.GradcamOptions : lunette.MethodOptions
---@field layer? string     default: the last convolution, activated
---@field relu? boolean     keep positive evidence only (default true; captum: false)
---@field expand? boolean   resize to the picture (default true; captum never does)
---@field raw? boolean      signed, at the layer's size

---Grad-CAM: channel-averaged gradients weight the activations of one layer
---(Selvaraju et al. 2017).
---Dialects: "tf-keras-vis" relu, corner-aligned bilinear, min-max; "captum" raw at
---the layer's size; "pytorch-grad-cam" relu, min-max, half-pixel bilinear, min-max.
---Caveat: as coarse as the layer (14 x 14 for VGG16), and the relu hides what speaks
---  against the class; { raw = true } keeps it.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.gradcam(run, { modifiers = { "linear" } }))
---@param subject lunette.Net|lunette.Run
---@param x lunette.Tensor|lunette.GradcamOptions
---@param opts? lunette.GradcamOptions
---@return lunette.Tensor map   (N,H,W) of the picture; (N,h,w) of the layer when raw
local function gradcam(subject, x, opts)
  local run, o, made = common.prepare("gradcam", own, subject, x, opts, first_kept)
  local _ <close> = made and run or nil
  local given = type(opts) == "table" and opts or type(x) == "table" and x or {}
  o.asked_relu = given.relu == true
  local layer = find_layer(run.net, o)
  local activation, message = run:activation(layer.name)
  if not activation then error(message, 0) end
  -- channel weights are spatial means of the gradient: sum_k mean(g_k) A_k
  local means = channel_means(run, layer, o)
  local cam = (activation:detach() * means):sum { dims = { 2 } }
  local size, raw = run.net.input, cam
  if not o.raw then cam = finish[o.dialect](cam, size[2], size[3], o) end
  common.warn_if_flat(cam, "gradcam", function(n)
    local s = raw[n]:stats()
    if s.min == s.max then return "no gradient reaches " .. layer.name end
    return ("before relu it lies between %.3g and %.3g; use raw = true to see it"
      ):format(s.min, s.max)
  end)
  local s = raw:stats()
  return common.tell(cam, "gradcam", run, o, { layer = layer.name,
                                               raw_min = s.min, raw_max = s.max })
end

return gradcam
