---Channels of a layer: which answer most to a picture, and which pixels one of them
---answers to.
local blame = require "lunette.base.blame"
local image = require "lunette.picture.image"
local known = require "lunette.explain.known"
local options = require "lunette.base.options"
local receptive = require "lunette.net.receptive"
local scores = require "lunette.score"
local opt = options.opt

local M = {}

---The activated layer of a run, or an error.
local function layer_of(run, what, name)
  if type(name) ~= "string" then
    blame(("%s: `layer` is a layer's name, got %s"):format(what, type(name)))
  end
  local layer, message = run.net:activated(name)
  if not layer then blame(("%s: %s"):format(what, message)) end
  return layer
end


---A channel's worth at every place (N,K,h*w), by the name of the measure.
local measures = {
  mean = function(_, value) return value end,
  max = function(_, value) return value end,
  gradient_x_activation = function(run, value, layer, o)
    return value * run:gradient { score = o.score, wrt = layer.name,
                                  modifiers = o.modifiers }
  end,
}


---The channels of a layer that answer most to each picture, the first of them most: by
---their mean, their largest value, or by how much they add to the score, gradient times
---activation summed over places. With each the place of its largest value and the part
---of the picture that this place can see.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  local top = lu.channels.top(run, "block4_conv3", { count = 3 })[1]
---  print(top[1].channel, top[1].value, top[1].y, top[1].x, top[1].box.height)
---@param run lunette.Run
---@param layer string
---@param opts? table   count = 5; by = "mean"|"max"|"gradient_x_activation"; score and
---  modifiers of the last
---@return { channel: integer, value: number, y: integer, x: integer, box: table }[][]
---  a list a picture; channels, rows and columns from 1
function M.top(run, layer, opts)
  local o = options.check("channels.top", opts, {
    count = opt.count(5, "channels of each picture"), score = "predicted",
    modifiers = {}, by = opt.choice("mean", { "mean", "max", "gradient_x_activation" },
                                    "what is largest") })
  local found = layer_of(run, "channels.top", layer)
  local value = assert(run:activation(found.name)):detach()
  local n, k = value:dim(1), value:dim(2)
  local h, w = found.shape[2] or 1, found.shape[3] or 1
  local each = measures[o.by](run, value, found, o):reshape { n, k, h * w }
  local how = o.by == "mean" and "mean" or o.by == "max" and "max" or "sum"
  local worth = each[how](each, { dims = { 3 } })
  local field, all = #found.shape == 3 and receptive.of(run.net, found.name), {}
  for i = 1, n do
    local order, list = worth[i]:argsort(), {}
    for r = 1, math.min(o.count, k) do
      local c = math.floor(order[r])
      local at = each[i][c]:argmax()
      local y, x = (at - 1) // w + 1, (at - 1) % w + 1
      list[r] = { channel = c, value = worth:get(i, c), y = y, x = x,
                  box = field and field.box(y, x) or nil }
    end
    all[i] = list
  end
  return all
end


---Which pixels a channel answers to: the map of a method whose score is the channel,
---its mean over places, or one neuron of it. Any method and its options; those of
---layers explain it by a layer before it.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  show(lu.channels.pixels(run, "block4_conv3", { channel = 5 }))
---  show(lu.channels.pixels(run, "block4_conv3", { channel = 5, at = { 2, 3 },
---                                                 method = "guided_gradcam",
---                                                 layer = "block3_conv1" }))
---@param run lunette.Run
---@param layer string
---@param opts table   channel = which, from 1; at = {y, x}: one neuron, from 1;
---  method = "input_x_gradient"; every other option is the method's
---@return lunette.Tensor map
function M.pixels(run, layer, opts)
  local own, others = { method = "input_x_gradient", channel = false, at = false }, {}
  for key, value in pairs(opts or {}) do
    (own[key] ~= nil and own or others)[key] = value
  end
  local found, k = layer_of(run, "channels.pixels", layer), math.tointeger(own.channel)
  if not k or k < 1 or k > found.shape[1] then
    blame(("channels.pixels: layer '%s' has channels 1 .. %d, not %s"):format(layer,
          found.shape[1], tostring(own.channel)))
  end
  local row = known.methods[own.method]
  if not row or not row.options.score then
    blame(("channels.pixels: method is the name of one with a score, got %s"):format(
          tostring(own.method)))
  end
  others.score = own.at and scores.neuron(found.name, k, own.at[1], own.at[2])
    or scores.unit(found.name, k)
  return row(run, others)
end


---A canvas of what `top` found: a row a picture, with the part of it that each
---channel's largest value sees.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  print(lu.channels.draw(run, lu.channels.top(run, "block2_conv2", { count = 3 })))
---@param run lunette.Run
---@param found table[][]   of `top`
---@return lunette.Canvas
function M.draw(run, found)
  if #found ~= run:count() then
    blame(("draw: found has lists of %d pictures, the run %d; "
          .. "lu.channels.top(run, layer) makes them"):format(#found, run:count()))
  end
  local pictures = image.deprocess(run.images, run.net.preprocessing)
  local h, w = run.images:dim(3), run.images:dim(4)
  local canvas = require "lunette.picture.canvas" { columns = 1 + #found[1] }
  for i, list in ipairs(found) do
    local cells, captions = { pictures[i] }, { "" }
    for r, c in ipairs(list) do
      local b = c.box or { top = 1, left = 1, height = h, width = w }
      cells[r + 1] = pictures[i]:narrow { dim = 2, start = b.top, length = b.height }
        :narrow { dim = 3, start = b.left, length = b.width }
        :reshape { 1, pictures[i]:dim(1), b.height, b.width }
        :interpolate { size = { h, w } }[1]
      captions[r + 1] = ("channel %d, %.3g"):format(c.channel, c.value)
    end
    canvas:row("", cells, { captions = captions, kind = "picture" })
  end
  return canvas
end

return M
