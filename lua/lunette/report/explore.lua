---What a network does with one picture, layer by layer, as one page: statistics, the
---most active channels, silent ones, how the prediction forms, maps of the likeliest
---classes.
local core = require "lunette.core"
local documents = require "lunette.report.document"
local html = require "lunette.report.html"
local svg = require "lunette.report.svg"
local words_of = require("lunette.report.words").of

local M = {}

local TILE = 112 -- pixels of a channel's picture at most
local MOST_SILENT = 40 -- numbers told of silent channels

---Kinds of layers whose outputs are those of the layer before, chosen or moved.
local passive = { max_pool2d = true, avg_pool2d = true, global_avg_pool2d = true,
                  dropout = true, flatten = true, reshape = true, softmax = true,
                  sigmoid = true, zero_pad2d = true }


-- numbers ----------------------------------------------------------------------------


---Three digits, without an exponent up to 99999.
local function number(v)
  local size = math.abs(v)
  return (size >= 999.5 and size < 99999.5 and "%.0f" or "%.3g"):format(v)
end


---The channels of a layer's value (1,C,H,W): mean and greatest value of each.
local function channels_of(value)
  local c = value:dim(2)
  local flat = value:detach():reshape { c, value:size() // c }
  return flat:mean { dims = { 2 } }:reshape { c },
    flat:max { dims = { 2 } }:reshape { c }
end


---Channels of which no place is above 0.
local function silent_of(most)
  local list = {}
  for k = 1, most:size() do
    if most[k] <= 0 then list[#list + 1] = k end
  end
  return list
end


---Is what the layer puts out a number of channels of its own?
local function has_channels(row)
  local first = row.kind:match "^[%w_]+"
  return #row.shape >= 2 and row.shape[2] > 1 and not passive[first]
end


---Layers that a page tells of: those with weights, and where branches come together;
---not the last one, whose channels are the classes.
local function rows_of(run)
  local rows = {}
  for _, row in ipairs(run:stats()) do
    if has_channels(row) then
      local value = run:preactivation(row.node)
      local mean, most = channels_of(value)
      row.channels, row.channel_mean, row.channel_most = row.shape[2], mean, most
      row.silent = silent_of(most)
      value:release()
      rows[#rows + 1] = row
    end
  end
  if #rows > 1 and rows[#rows].channels == run.output:dim(2) then rows[#rows] = nil end
  return rows
end


---How much the channels of a layer agree on a class, from -1 to 1: the sum over
---channels of s divided by the sum of |s|, where s is the sum over places of a
---channel's value times the gradient of the class' score.
local function agreement(value, gradient)
  local c = value:dim(2)
  local s = (value:detach() * gradient):reshape { c, value:size() // c }
    :sum { dims = { 2 } }
  local all = s:abs():sum():item()
  return all > 0 and s:sum():item() / all or 0
end


---The agreement of every layer on each of some classes.
---@param run lunette.Run   without softmax
---@param rows table[]
---@param classes table[]   of run:top
---@return number[][]   by class, then by layer
function M.evidence(run, rows, classes)
  local names, out = {}, {}
  for i, row in ipairs(rows) do names[i] = row.node end
  for k, c in ipairs(classes) do
    local gradients = table.pack(run:gradient { score = c.class, wrt = names,
                                                exact = true })
    out[k] = {}
    for i, name in ipairs(names) do
      local value = run:preactivation(name)
      out[k][i] = agreement(value, gradients[i])
      gradients[i]:release()
      value:release()
    end
  end
  return out
end


-- what stands on the page ------------------------------------------------------------


---The picture of a channel: its colours are those of its layer.
local function tile(plane, lo, hi)
  local colours = require("lunette.picture.colormap").get "viridis"
  local image = core.image.colormap(plane, colours, lo, hi > lo and hi or lo + 1)
  local w, h = image:size()
  if math.max(w, h) > TILE then
    local scale = TILE / math.max(w, h)
    image = image:resize(math.max(1, math.floor(w * scale)),
                         math.max(1, math.floor(h * scale)), "bilinear")
  end
  return image:encode "png"
end


---The most active channels of a layer, as pictures with their numbers.
local function strip(page, run, row, count, say)
  local value = run:preactivation(row.node)
  local _, order = row.channel_mean:top(math.min(count, row.channels))
  local out = {}
  for _, k in ipairs(order) do
    local name = say("channel %d"):format(k)
    local png = tile(value[1][k]:detach(), math.min(0, row.min), row.max)
    out[#out + 1] = ('<figure><img alt="%s" width="%d" height="%d" src="%s">'
      .. "<figcaption>%s<br>%s</figcaption></figure>"):format(
      html.escape(("%s, %s"):format(row.layer, name)), TILE, TILE,
      html.data_url("image/png", png), html.escape(name),
      html.escape(say("mean %s, greatest %s"):format(number(row.channel_mean[k]),
        number(row.channel_most[k]))))
  end
  value:release()
  page:html('<div class="strip">' .. table.concat(out) .. "</div>")
end


---The channels of a layer without places, in words.
local function strongest(page, row, count, say)
  local values, order = row.channel_mean:top(math.min(count, row.channels))
  local list = {}
  for i, k in ipairs(order) do list[i] = ("%d (%s)"):format(k, number(values[i])) end
  page:text(say "Most active units" .. ": " .. table.concat(list, ", "))
end


local function silent_text(row, say)
  local list = {}
  for i = 1, math.min(MOST_SILENT, #row.silent) do list[i] = row.silent[i] end
  local more = #row.silent > MOST_SILENT and " ..." or ""
  return say("silent: %d of %d channels"):format(#row.silent, row.channels)
    .. (#list > 0 and ": " .. table.concat(list, ", ") .. more or "")
end


local function add_layer(page, run, row, o, say)
  page:heading(row.layer, 3)
  page:text(("%s, %s; %s"):format(row.kind, table.concat(row.shape, " x ", 2),
    say("least %s, greatest %s, mean %s, zeros %.1f %%"):format(number(row.min),
      number(row.max), number(row.mean), 100 * row.zeros)))
  page:text(silent_text(row, say))
  if #row.shape == 4 and row.shape[3] * row.shape[4] > 1 then
    strip(page, run, row, o.channels, say)
  else
    strongest(page, row, o.channels, say)
  end
end


local function bars(title, rows, value)
  local list = {}
  for i, row in ipairs(rows) do
    list[i] = { label = row.layer, values = { value(row) }, note = " " .. row.kind }
  end
  return svg.rows(title, list)
end


local function plot(page, title, what)
  page:html(("<figure><figcaption><h3>%s</h3></figcaption>%s</figure>"):format(
    html.escape(title), what))
end


local function add_plots(page, rows, say)
  page:heading(say "What the layers put out")
  for _, p in ipairs {
    { "Mean", function(r) return r.mean end },
    { "Share of zeros", function(r) return r.zeros end },
    { "Share of silent channels", function(r) return #r.silent / r.channels end },
  } do
    plot(page, say(p[1]), bars(say(p[1]), rows, p[2]))
  end
end


local function add_evidence(page, run, rows, classes, say)
  local series, labels = {}, {}
  for i, row in ipairs(rows) do labels[i] = row.layer end
  for k, values in ipairs(M.evidence(run, rows, classes)) do
    series[k] = { label = classes[k].name, values = values }
  end
  page:heading(say "How the prediction forms")
  page:text(say "agreement")
  page:html("<figure>" .. svg.lines(say "How the prediction forms", labels, series)
            .. "</figure>")
end


---The maps of the likeliest classes, over the picture.
local function add_maps(page, run, classes, say)
  if not run.net:last_map() then return end
  local map = require("lunette.methods").gradcam(run, { top = #classes })
  local captions = {}
  for k, c in ipairs(classes) do captions[k] = c.name end
  local canvas = require "lunette.picture.canvas" { columns = #classes, cell = 160,
    lang = page.lang }
  canvas:row("Grad-CAM", map, { overlay = run.images.pictures[1], colormap = "jet",
                                captions = captions })
  local image = assert(canvas:render())
  local width, height = image:size()
  page:heading(say "Maps of the likeliest classes")
  page:picture(image:encode "png", "Grad-CAM: " .. table.concat(captions, ", "), width,
    height, say("Grad-CAM at %s"):format(tostring(map.story.layer)))
  image:release()
end


---The picture and what the network says of it.
local function add_prediction(page, run, classes, say)
  local image = require("lunette.picture.image").to_image(run.images.pictures[1])
  local width, height = image:size()
  page:picture(image:encode "png", run.images.names[1], width, height,
    say "The picture as the network sees it")
  local rows = {}
  for k, c in ipairs(classes) do
    rows[k] = { c.class, c.name, c.probability
      and ("%.2f %%"):format(100 * c.probability) or "", ("%.4g"):format(c.score or 0) }
  end
  page:heading(say "Most probable classes")
  page:table(rows, { say "Class", say "Name", say "Probability", say "Score" })
end


---The page of one picture.
---@param net lunette.Net
---@param images lunette.Tensor   of net:images, one picture
---@param o { channels: integer, classes: integer, lang: string }
---@return lunette.Document
function M.page(net, images, o)
  local say = words_of(o.lang)
  local output = require("lunette.net.run").outline(net, images, {}).output_layer
  local run <close> = net:run(images, { modifiers =
    require "lunette.explain.unsoftened"(output) })
  local classes, rows = run:top(o.classes)[1], rows_of(run)
  local page = documents.new(("%s: %s"):format(net.name,
    images.names[1]:match "[^/]*$"), o.lang)
  add_prediction(page, run, classes, say)
  add_maps(page, run, classes, say)
  add_evidence(page, run, rows, classes, say)
  add_plots(page, rows, say)
  page:heading(say "Layer by layer")
  for _, row in ipairs(rows) do add_layer(page, run, row, o, say) end
  return page
end

return M
