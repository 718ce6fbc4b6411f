---Where relevance goes: what every layer gets and hands on, and where it is lost.

local composite_of = require "lunette.explain.composite"
local core = require "lunette.core"
local image = require "lunette.picture.image"
local layers = require "lunette.layers"
local modifiers = require "lunette.modifiers"
local named = require "lunette.modifiers.named"
local options = require "lunette.base.options"
local score_class = require "lunette.score.score"
local scored = require "lunette.net.scored"
local scores = require "lunette.score"
local strict = require "lunette.base.strict"

local M = {}


---The same composite, where a walk that meets none of its layers is no mistake: what is
---asked for may lie right below the score.
local function optional(composite)
  local copy = { optional = true }
  for key, value in pairs(composite) do copy[key] = copy[key] or value end
  return setmetatable(copy, getmetatable(composite))
end


---The modifiers of a relevance pass: the composite, batch norms folded for it, then
---those of one's own; an output that is a softmax is scored before it.
---@param output lunette.Layer   that the score looks at
---@param composite any
---@param more lunette.Modifier[]
---@param canonise? boolean   true
---@return lunette.Modifier[]
local function modifiers_of(output, composite, more, canonise)
  local list, forward = { optional(composite_of(composite)) }, false
  for _, m in ipairs(more) do
    list[#list + 1] = m
    forward = forward or m.target ~= nil
  end
  if canonise ~= false then list[#list + 1] = modifiers.canonise end
  if not forward and layers.is(output, "probability") then
    table.insert(list, 1, modifiers.linear)
  end
  return list
end



-- relevance ----------------------------------------------------------------------


---What is handed back: 1 for the class ("one_hot") or its value ("logit"), which differ
---by a factor; all outputs ("output"); 1 for the class and -1 for all others together
---("contrast", Gu et al. 2018). A score is what it is.
M.from = { "one_hot", "logit", "output", "contrast" }


---Sum of all values of a sample, (N,1).
local function sum_of(output)
  return output:reshape { output:dim(1), output:size() // output:dim(1) }:sum {
    dims = { 2 }, keepdims = true }
end


---The score whose gradient is what `from` hands back.
local function seed_score(score, from)
  if from == "output" then
    return score_class.over(score, "output", function(output)
      return sum_of(output * output) * 0.5
    end)
  elseif from ~= "contrast" then
    return score
  end
  local name = score.name .. " against the others"
  return score_class.over(score, name, function(output, run, _, layer)
    local others = output:size() // output:dim(1) - 1
    local one = score.fn(output, run, score, layer)
    one = one:reshape { one:dim(1), one:size() // one:dim(1) }
    return one * (1 + 1 / others) - sum_of(output) * (1 / others)
  end)
end


---Rows 1 .. of R times as many values.
local function times_values(r, values)
  local list, shape = values:reshape { values:size() }, {}
  for i = 1, r:dim() do shape[i] = i == 1 and list:size() or 1 end
  return r * list:reshape(shape)
end


---@class lunette.RelevanceOptions
---@field score? any       class, name, "predicted", a score
---@field scores? any[]    K of them: one batched walk, (K*N, ...), score by score
---@field at? string|string[]   layers, "input" by default: a relevance for each
---@field composite? any   "epsilon_plus": a name, a modifier, { { on =, rule = } ... }
---@field from? string     "one_hot", "logit", "output" or "contrast"
---@field canonise? boolean   true: batch norms are part of the layers before them
---@field modifiers? string|lunette.Modifier|(string|lunette.Modifier)[]   one's own,
---  which override the composite
---@field exact? boolean   `at` means those modules: a convolution before its relu


local fields = { score = false, scores = false, at = "input",
                 composite = "epsilon_plus", from = "one_hot",
                 canonise = true, modifiers = {}, exact = false }


-- where it goes ------------------------------------------------------------------


---@class lunette.Flow
---@field start number   relevance of the scored layer; rows { layer =, kind =,
---  relevance =, handed_on =, bias =, to = list of { layer, relevance } } are the list
local Flow = strict.class("flow", { __name = "lunette.Flow" })
Flow.__index = Flow


---Layers that the scored one is computed from, itself included, last first.
local function passed(run, target)
  local set, list, all = { [target.name] = true }, {}, run.net:layers()
  for i = #all, 1, -1 do
    local layer = all[i]
    if set[layer.name] and run:node(layer.name) then
      list[#list + 1] = layer
      for _, from in ipairs(layer.from) do set[from] = true end
    end
  end
  return list
end


---What a layer hands to each of the layers that it reads: a list of { name, sum }. A
---sum of three or more is several nodes, each of which reads the one before it and one
---input; what they hand to one another does not count.
local function handed(layer, id, flows)
  local list, inputs, sums = {}, layer.operands or layer.from, {}
  local nodes = layers.applications(layer)
  local function of(node, k) return flows[node] and flows[node].handed_on[k] or 0 end
  if layers.kinds[layer.kind].folds and #inputs > 1 then
    sums[#inputs - nodes] = of(id - nodes + 1, 1)
    for j = 1, nodes do sums[#inputs - nodes + j] = of(id - nodes + j, 2) end
  else
    for i = 1, #inputs do sums[i] = of(id, i) end
  end
  for i, input in ipairs(inputs) do
    local from = layer.operands and input.from or not layer.operands and i
    if from then list[#list + 1] = { layer.from[from], sums[i] or 0 } end
  end
  return list
end


---The flow of a backward pass from `target`, from the sums of its nodes.
local function flow_of(run, target, flows)
  local list, got = passed(run, target), { [target.name] = flows.start }
  local flow = setmetatable({ start = flows.start, net = run.net }, Flow)
  for _, layer in ipairs(list) do
    local id = run:node(layer.name).id
    local to = handed(layer, id, flows)
    local row = { layer = layer.name, kind = layer.kind, to = to, handed_on = 0,
                  relevance = got[layer.name] or 0,
                  bias = flows[id] and flows[id].bias or 0 }
    for _, edge in ipairs(to) do
      got[edge[1]] = (got[edge[1]] or 0) + edge[2]
      row.handed_on = row.handed_on + edge[2]
    end
    flow[#flow + 1] = row
  end
  flow.reached = got.input or got[run.start and run.start.name] or 0
  return flow
end


local function lost(row) return row.relevance - row.handed_on end


---The layer that loses most (or makes most), and how much of what was handed back.
---@return string? layer, number share, lunette.FlowRow? row
function Flow:leak()
  local worst, most = nil, 0
  for _, row in ipairs(self) do
    local off = math.abs(lost(row))
    if off > most then worst, most = row, off end
  end
  return worst and worst.layer, self.start ~= 0 and most / math.abs(self.start) or 0,
         worst
end


---Where what a row lost went to: "bias", a "constant", or the rest, which the
---stabiliser took or the rule does not conserve.
---@param row table
---@return string
function Flow:why(row)
  local off, few = lost(row), 0.005 * math.abs(self.start)
  if math.abs(off) <= few then return "" end
  if math.abs(off - row.bias) <= 0.1 * math.abs(off) then return "bias" end
  if row.kind == "batch_norm" then return "bias" end -- its shift, value by value
  local layer_ = self.net:layer(row.layer)
  if row.bias == 0 and layer_ and layer_.operands and layer_.kind ~= "matmul" then
    return "constant"
  end
  return math.abs(row.bias) > few and "bias, rule" or "stabiliser or rule"
end


function Flow.__tostring(flow)
  local out = { ("%-24s %-14s %11s %11s %8s  %s"):format("layer", "kind", "relevance",
                "handed on", "lost", "to") }
  for _, row in ipairs(flow) do
    local off, to = lost(row), flow:why(row)
    if #row.to > 1 then
      local list = {}
      for i, edge in ipairs(row.to) do
        list[i] = ("%s %.4g"):format(edge[1], edge[2])
      end
      to = (to ~= "" and to .. "; " or "") .. table.concat(list, ", ")
    end
    out[#out + 1] = ("%-24s %-14s %11.4g %11.4g %8s  %s"):format(row.layer, row.kind,
      row.relevance, row.handed_on, flow.start ~= 0
        and ("%.1f %%"):format(100 * off / flow.start) or "-", to):gsub("%s+$", "")
  end
  return table.concat(out, "\n")
end


---Walks back once: the relevances asked for, and where all of it went if `flow` is
---wanted.
local function walk(run, o, with_flow)
  local list, flows = {}, with_flow and {} or false
  for i, s in ipairs(o.scores or { o.score or "predicted" }) do
    s = run.traced and run:resolve(s) or scores.resolve(s, run)
    list[i] = seed_score(s, o.from)
  end
  local mods = modifiers_of(scored.output(run, list[1]), o.composite,
                            named.list(o.modifiers), o.canonise)
  local found = { run:gradient { scores = list, wrt = o.at, modifiers = mods,
                                 exact = o.exact, flows = flows } }
  local flow = with_flow and flow_of(run, scored.layer(run, list[1], mods), flows)
  if o.from == "logit" then
    local values = run:values({ scores = list }, { modifiers = mods })
    for i, r in ipairs(found) do found[i] = times_values(r, values) end
  end
  return found, flow
end


---Relevance at any layer, for any score, or for many in one walk.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  local r = lu.relevance.at(run, { scores = { 1, 2, 3 }, at = "block4_conv3" })
---  print(r) -- one after the other: class 1, 2, 3
---@param run lunette.Run
---@param opts? lunette.RelevanceOptions
---@return lunette.Tensor relevance   one for each of `at`
function M.at(run, opts)
  return table.unpack((walk(run, options.check("relevance", opts, fields))))
end


---What every layer gets of relevance and hands on to each of its inputs, summed over
---samples and places; prints as a table. What is lost went into biases (`bias` says how
---much), constants and the stabiliser, or the rule is no conserving one.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  print(lu.relevance.flow(run, { score = 3, composite = "epsilon_plus" }))
---@param run lunette.Run
---@param opts? lunette.RelevanceOptions
---@return lunette.Flow flow   last layer first
---@return lunette.Tensor relevance   that of `at`
function M.flow(run, opts)
  local o = options.check("flow", opts, fields)
  if o.at == "input" and run.start then o.at = run.start.name end
  local found, flow = walk(run, o, true)
  return flow, table.unpack(found)
end


---The rows worth a bar: layers that hand on what they get, unchanged, to one input
---stand with the layer before them.
local function drawn(flow)
  local rows = {}
  for i, row in ipairs(flow) do
    local off = math.abs(lost(row)) > 0.005 * math.abs(flow.start)
    if i == 1 or off or #row.to > 1 or row.kind == "conv2d" or row.kind == "linear"
       or row.kind == "matmul" then
      rows[#rows + 1] = row
    end
  end
  return rows
end


local BAR, GAP, NAME, TEXT = 14, 4, 190, 11 -- pixels; NAME: the names' width
local BLUE, RED, GREY, BLACK, WHITE = 0x3C5AA0, 0xC82828, 0xE1E1E1, 0x202020, 0xFFFFFF


---The end of a name that fits.
local function shortened(name)
  while core.image.text_width(TEXT, name) > NAME - 2 * GAP do name = name:sub(2) end
  return name
end


---The flow as a picture: a bar a layer with its name, as long as the relevance that it
---gets (grey: what was handed back in all), the last layer on top; the part that it
---loses is red where that is more than 5 %; black is relevance below 0. Layers that
---change nothing are left out.
---@param flow lunette.Flow
---@param width? integer   560
---@return lunette.Tensor picture   (3,H,width), 0..255
function M.bars(flow, width)
  width = width or 560
  local rows, room, most = drawn(flow), width - NAME - 70, 1e-30
  for _, row in ipairs(flow) do most = math.max(most, math.abs(row.relevance)) end
  local im = core.image.new(width, (BAR + GAP) * #rows + GAP, WHITE)
  local function pixels(v) return math.floor(room * math.abs(v) / most + 0.5) end
  for i, row in ipairs(rows) do
    local y, length, off = (BAR + GAP) * (i - 1) + GAP, pixels(row.relevance), lost(row)
    local name, share = shortened(row.layer), flow.start ~= 0 and off / flow.start or 0
    local part = math.min(pixels(off), length)
    im:text(NAME - GAP - core.image.text_width(TEXT, name), y + TEXT, TEXT, BLACK, name)
    im:fill(NAME, y, pixels(flow.start), BAR, GREY)
    im:fill(NAME, y, length, BAR, row.relevance < 0 and BLACK or BLUE)
    if math.abs(share) <= 0.05 then part = 0 end
    im:fill(NAME + length - part, y, part, BAR, RED)
    if part > 0 then
      local text = ("%+.0f %%"):format(-100 * share)
      im:text(NAME + math.max(length, pixels(flow.start)) + GAP, y + TEXT, TEXT, RED,
              text)
    end
  end
  return image.from_image(im)
end

return M
