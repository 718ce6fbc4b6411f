---Concept relevance (CRP, Achtibat et al. 2023): relevance through one channel of a
---layer alone, the most relevant channels, and the pictures that show what they are
---about.
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local image = require "lunette.picture.image"
local options = require "lunette.base.options"
local relevance = require "lunette.explain.relevance"
local scores = require "lunette.score"
local types = require "lunette.base.types"
local warn = require "lunette.base.warn"

local M = {}

local fields = { layer = false, score = "predicted", composite = "epsilon_plus",
                 from = "one_hot", canonise = true, modifiers = {} }


---What relevance.at takes of the options, and more.
local function asked(o, more)
  local all = { composite = o.composite, canonise = o.canonise,
                modifiers = o.modifiers }
  for key, v in pairs(more) do all[key] = v end
  return all
end


local function check_layer(run, name)
  if type(name) ~= "string" then
    blame("concepts: `layer` is the name of the layer whose channels are meant")
  end
  local layer, message = run.net:activated(name)
  if not layer then blame("concepts: " .. message) end
  return layer
end


---R at the layer (N,C,...).
local function at_layer(run, o)
  check_layer(run, o.layer)
  return relevance.at(run, asked(o, { score = o.score, from = o.from, at = o.layer }))
end


---Relevance of every channel of a layer, summed over places.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(2).images))
---  local r = lu.concepts.channels(run, { layer = "block4_conv3" })
---  print(r[1]:argsort()[1]) -- the channel that speaks most for the predicted class
---@param run lunette.Run
---@param opts { layer: string, score: any, composite: any, from: string }
---@return lunette.Tensor relevance   (N,C)
function M.channels(run, opts)
  local r = at_layer(run, options.check("concepts.channels", opts, fields))
  local n, c = r:dim(1), r:dim(2)
  return r:reshape { n, c, r:size() // (n * c) }:sum { dims = { 3 } }
end


---A score whose gradient at the layer is R there, of channel k alone.
local function through(r, k, layer)
  local c, one = r:dim(2), {}
  for i = 1, c do one[i] = i == k and 1 or 0 end
  local shape = { 1, c }
  for i = 3, r:dim() do shape[i] = 1 end
  local mask = core.tensor(one):reshape(shape)
  local seed = r * mask
  return scores.new(("channel %d of %s"):format(k, layer), function(output)
    local n = output:dim(1)
    return (output * seed):reshape { n, output:size() // n }:sum { dims = { 2 } }
  end, layer)
end


---Conditional maps: the relevance at the picture (or `at`) of what went through each
---of these channels of the layer. One batched walk. Over all channels they sum to what
---the layer hands back.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  local maps = lu.concepts.maps(run, { layer = "block4_conv3", channels = { 1, 5 } })
---  show(maps:sum { dims = { 2 } })
---@param run lunette.Run
---@param opts { layer: string, channels: integer[], score: any, at: string,
---  composite: any, from: string }
---@return lunette.Tensor maps   (K*N, ...), channel by channel
function M.maps(run, opts)
  local given = { channels = false, at = "input" }
  for key, v in pairs(fields) do given[key] = v end
  local o = options.check("concepts.maps", opts, given)
  local r, list = at_layer(run, o), {}
  for i, k in ipairs(o.channels or {}) do
    if not types.is_count(k) or k > r:dim(2) then
      blame(("concepts: layer '%s' has channels 1 .. %d, not %s"):format(o.layer,
            r:dim(2), tostring(k)))
    end
    list[i] = through(r, k, o.layer)
  end
  if #list == 0 then blame("concepts: `channels` is a list of channels, from 1") end
  return relevance.at(run, asked(o, { scores = list, at = o.at }))
end


---The places of the largest values above 0, largest first.
local function largest(list, count)
  local order = {}
  for i = 1, #list do
    if list[i] > 0 then order[#order + 1] = i end
  end
  table.sort(order, function(a, b)
    if list[a] ~= list[b] then return list[a] > list[b] end
    return a < b
  end)
  for i = #order, count + 1, -1 do order[i] = nil end
  return order
end


local function column(t, k)
  local list = {}
  for n = 1, t:dim(1) do list[n] = t:get(n, k) end
  return list
end


local AGAINST = "concepts: the channels of '%s' have a relevance of %.3g in all for "
  .. "the score of picture %d: little or nothing there speaks for it; lu.relevance."
  .. "flow shows where the rest went, another layer or composite may keep it"


---The channels of a layer that speak for the score of picture `picture` of the run, the
---most relevant first, each with the pictures of the run in which it speaks most for
---their own score, and its conditional map in each. Channels and pictures without such
---relevance are left out; where all channels together speak against the score, a
---warning says so.
---`share` is the channel's part of the relevance of all channels, signs left out.
---Caveat: what a channel is about shows only in pictures that the run has: give many.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(4).images))
---  local opts = { layer = "block4_conv3", count = 2, pictures = 2 }
---  local found = lu.concepts.top(run, opts)
---  print(found[1].channel, found[1].relevance, found[1].pictures[1].picture)
---@param run lunette.Run
---@param opts { layer: string, picture: integer, count: integer, pictures: integer,
---  score: any, composite: any, from: string }
---@return { channel: integer, relevance: number, share: number, pictures: {
---  picture: integer, relevance: number, map: lunette.Tensor }[] }[] concepts
function M.top(run, opts)
  local given = { picture = 1, count = 5, pictures = 3 }
  for key, v in pairs(fields) do given[key] = v end
  local o = options.check("concepts.top", opts, given)
  local own = {}
  for key in pairs(fields) do own[key] = o[key] end
  local r = M.channels(run, own)
  if o.picture > r:dim(1) then
    blame(("concepts: the run has %d pictures, not %d"):format(r:dim(1), o.picture))
  end
  local mine, found = {}, {}
  for k = 1, r:dim(2) do mine[k] = r:get(o.picture, k) end
  own.channels = largest(mine, o.count)
  local all = r[o.picture]:sum():item()
  if all <= 0 then warn(AGAINST:format(o.layer, all, o.picture)) end
  if #own.channels == 0 then return found end
  local maps = M.maps(run, own)
  local total, n = r[o.picture]:abs():sum():item(), r:dim(1)
  for i, k in ipairs(own.channels) do
    local list = column(r, k)
    found[i] = { channel = k, relevance = mine[k], share = mine[k] / total,
                 pictures = {} }
    for j, picture in ipairs(largest(list, o.pictures)) do
      local row = (i - 1) * n + picture
      found[i].pictures[j] = { picture = picture, relevance = list[picture],
                               map = maps:rows(row):clone() }
    end
  end
  return found
end


local function joined(list)
  list[#list + 1] = { dim = 1 }
  return core.ops.concat(table.unpack(list))
end


---A canvas of what `top` found: a row a channel with the pictures that show it, and
---below them the channel's conditional maps.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(4).images))
---  local opts = { layer = "block4_conv3", count = 2, pictures = 2 }
---  local found = lu.concepts.top(run, opts)
---  local canvas = lu.concepts.draw(run, found, lu.canvas { columns = 2 })
---  print(canvas)
---@param run lunette.Run
---@param concepts table   of `top`
---@param canvas table     of as many columns as pictures a channel
---@return table canvas
function M.draw(run, concepts, canvas)
  local pictures = image.deprocess(run.images, run.net.preprocessing)
  for _, concept in ipairs(concepts) do
    local shown, maps = {}, {}
    for j, p in ipairs(concept.pictures) do
      shown[j] = pictures[p.picture]
      maps[j] = p.map:sum { dims = { 2 } }
    end
    canvas:row(("channel %d, %.0f %%"):format(concept.channel, 100 * concept.share),
               shown)
    canvas:row("its relevance", joined(maps))
  end
  return canvas
end

return M
