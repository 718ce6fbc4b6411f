---The canvas of `lunette explain`: pictures above their maps, each with the class that
---it explains.
local methods = require "lunette.methods"
local records = require "lunette.commands.explain.record"

local M = {}


---What a map without a class shows: a score of one's own, or nothing that was asked.
local function other_subject(story)
  if not story.score then return "no class: " .. story.method .. " asks for none" end
  local name = type(story.score) == "table" and story.score[1] or story.score
  return tostring(name) .. (story.scored and " of " .. story.scored or "")
end


---The class of each map with its probability, or its value where it has none; of the
---k-th maps of the pictures, where every picture has several.
local function captions(run, map, k)
  local list, rankings = {}, records.rankings(run)
  for i = 1, run:count() do
    local c = records.class_of(run, map, rankings, (k - 1) * run:count() + i)
    if not c then
      list[i] = other_subject(map.story)
    elseif c.probability then
      list[i] = ("%s  %.1f %%"):format(c.name, 100 * c.probability)
    else
      list[i] = c.score and ("%s  %.4g"):format(c.name, c.score) or c.name
    end
  end
  return list
end


---What checks of the maps found, below the captions.
local function add_checks(list, checks, n)
  local texts = checks and checks:captions() or {}
  for i = 1, checks and n or 0 do list[i] = list[i] .. "\n" .. texts[i] end
  return list
end


---From "percentile:99" to options of a canvas' row; nil where it is none.
---@param text string
---@return { normalize: string, percentile?: number }?
function M.scale_of(text)
  if text == "minmax" or text == "symmetric" then return { normalize = text } end
  local p = tonumber(text:match "^percentile:([%d.]+)$")
  if p and p > 0 and p <= 100 then
    return { normalize = "percentile", percentile = p }
  end
  return nil
end


---How the values become colours. A saliency map has a few values that are far larger
---than all others: from least to greatest it is black on photographs.
local function row_options(o, draws)
  local own_scale = draws == "map" or draws == "numbers"
  local by = o.scale_by or (own_scale and "percentile:99" or nil)
  local opts = by and M.scale_of(by) or {}
  opts.colormap = o.colormap
  return opts
end


---The channels that count most, of numbers a channel: below the captions.
local function add_channels(list, values)
  for i = 1, #list do
    local most, which = values[i]:top(math.min(3, values:dim(2)))
    local texts = {}
    for k, at in ipairs(which) do texts[k] = ("%d (%+.3g)"):format(at, most[k]) end
    list[i] = list[i] .. "\nchannels " .. table.concat(texts, ", ")
  end
  return list
end


---A row of maps, or one for every class of several.
---@param map lunette.Tensor     what the method gave
---@param shown lunette.Tensor   what is drawn of it
local function add_rows(canvas, run, shown, map, title, opts, checks)
  local n, maps = run:count(), map.story.maps or 1
  local function part(t, k) return maps > 1 and t:rows((k - 1) * n + 1, k * n) or t end
  for k = 1, maps do
    opts.captions = add_checks(captions(run, map, k), checks, n)
    if map:dim() == 2 then add_channels(opts.captions, part(map, k)) end
    local some = part(shown, k)
    some.story = map.story
    canvas:row(k == 1 and title or "", some, opts)
  end
end


---The canvas of a run's maps. Laid over the picture where the method's row says so, and
---where the map has as many values as a layer.
---@param o table           the command's options
---@param run lunette.Run
---@param map lunette.Tensor
---@param checks? table   what checks of the maps found
---@return lunette.Canvas
function M.canvas(o, run, map, checks)
  local canvas = require "lunette.picture.canvas" {
    columns = run:count(), scale = o.scale,
    title = ("%s: %s"):format(run.net.name, o.method),
    facts = { pictures = records.of(run, map) } }
  canvas:row("image", run.images)
  local title = o.method .. (map.story.layer and " " .. map.story.layer or "")
  local draws = methods[o.method].draws
  local opts, shown = row_options(o, draws), map
  opts.wrap = checks ~= nil
  if draws == "overlay" or draws == "channels" then
    local h, w = run.net.input[2], run.net.input[3]
    shown = require("lunette.picture.drawn").planes(map)
    if shown:dim(2) ~= h or shown:dim(3) ~= w then
      shown = shown:resize(h, w, { align_corners = true })
    end
    shown.story = map.story
    opts.overlay, opts.colormap = run.images.pictures, o.colormap or "jet"
  elseif map:dim() == 2 then
    shown = require("lunette.picture.drawn").cells(map)
    opts.interpolate, opts.wrap = "nearest", true
  end
  add_rows(canvas, run, shown, map, title, opts, checks)
  return canvas
end

return M
