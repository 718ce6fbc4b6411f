---Where relevance goes: what every layer gets and hands on, and where it is lost.
local core = require "lunette.core"
local layers = require "lunette.layers"
local modifiers = require "lunette.modifiers"
local options = require "lunette.base.options"
local scores = require "lunette.score"

local M = {}


---The modifiers of a relevance pass: the composite, then those of one's own; a run
---that ends in a softmax is scored before it.
---@param run lunette.Run
---@param composite string|lunette.Modifier
---@param more lunette.Modifier[]
---@return lunette.Modifier[]
function M.modifiers(run, composite, more)
  local list, forward = { modifiers.of(composite) }, false
  for _, m in ipairs(more) do
    list[#list + 1] = m
    forward = forward or m.target ~= nil
  end
  if not forward and layers.is(run.output_layer, "probability") then
    table.insert(list, 1, modifiers.linear)
  end
  return list
end


---The layer whose relevance is handed back.
---@param run lunette.Run
---@param mods lunette.Modifier[]
---@param score lunette.Score
---@return lunette.Layer
function M.start(run, mods, score)
  if score.layer then return (assert(run.net:activated(score.layer))) end
  return (modifiers.target(run.net, run.output_layer, mods, run))
end


---Sum over everything but the samples.
local function total(r) return r and r:sum():item() or 0 end


---Names of the layers of a backward pass from `last` on, in order.
local function passed(run, last)
  local names = {}
  for _, node in ipairs(run:nodes()) do
    if node.id <= last then names[#names + 1] = node.layer end
  end
  return names
end


---@class lunette.Flow
---@field start number   relevance of the scored layer; rows { layer =, kind =,
---  relevance =, handed_on = } are the list
local Flow = { __name = "lunette.Flow" }
Flow.__index = Flow


local function lost(row)
  return row.handed_on and row.relevance - row.handed_on
end


---The layer that loses most (or makes most), and how much of what went in.
---@return string? layer, number share
function Flow:leak()
  local worst, most = nil, 0
  for _, row in ipairs(self) do
    local off = math.abs(lost(row) or 0)
    if off > most then worst, most = row.layer, off end
  end
  return worst, self.start ~= 0 and most / math.abs(self.start) or 0
end


function Flow.__tostring(flow)
  local out = { ("%-20s %-16s %12s %12s %8s"):format("layer", "kind", "relevance",
                "handed on", "lost") }
  for _, row in ipairs(flow) do
    local off = lost(row)
    out[#out + 1] = ("%-20s %-16s %12.5g %12s %8s"):format(row.layer, row.kind,
      row.relevance, row.handed_on and ("%.5g"):format(row.handed_on) or "-",
      off and flow.start ~= 0 and ("%.1f %%"):format(100 * off / flow.start) or "-")
  end
  return table.concat(out, "\n")
end


---What every layer gets of relevance and hands on to its inputs, summed over samples
---and places; prints as a table. A layer that shares an input with others has no
---`handed_on`: only their sum is known. What is lost went into biases and the
---stabiliser, or the rule is no conserving one.
---Example:
---  local net = lu.load "glyphs"
---  local run = net:run(net:images(lu.glyphs.default_images(1).images))
---  print(lu.relevance.flow(run, { score = 3, composite = "epsilon_plus" }))
---@param run lunette.Run
---@param opts? { score: any, composite: any, modifiers: any[] }
---@return lunette.Flow flow   last layer first
function M.flow(run, opts)
  local o = options.check("flow", opts, { score = "predicted",
                          composite = "epsilon_plus", modifiers = {} })
  local mods = M.modifiers(run, o.composite, modifiers.list(o.modifiers))
  local target = M.start(run, mods, scores.of(o.score))
  local list = passed(run, run:node(target.name).id)
  local names = { "input" }
  for i, layer in ipairs(list) do names[i + 1] = layer.name end
  local grads = { run:gradient { score = o.score, wrt = names, exact = true,
                                 modifiers = mods } }
  local sums, readers = {}, {}
  for i, name in ipairs(names) do sums[name] = total(grads[i]) end
  for _, layer in ipairs(list) do
    for _, from in ipairs(layer.from) do readers[from] = (readers[from] or 0) + 1 end
  end
  local flow = setmetatable({ start = sums[target.name] }, Flow)
  for i = #list, 1, -1 do
    local layer, handed = list[i], 0
    for _, from in ipairs(layer.from) do
      handed = handed and readers[from] == 1 and handed + sums[from] or nil
    end
    flow[#flow + 1] = { layer = layer.name, kind = layer.kind,
                        relevance = sums[layer.name], handed_on = handed }
  end
  return flow
end


---The flow as a picture: a bar a layer, as long as its relevance, the last layer on
---top; red where more than 5 % of what went in was lost at that layer.
---@param flow lunette.Flow
---@param width? integer   320
---@return lunette.Tensor picture   (1,3,H,width), 0..255
function M.bars(flow, width)
  width = width or 320
  local most = 1e-30
  for _, row in ipairs(flow) do most = math.max(most, math.abs(row.relevance)) end
  local picture = core.full(255, 1, 3, 8 * #flow, width)
  for i, row in ipairs(flow) do
    local length = math.max(1, math.floor(width * math.abs(row.relevance) / most))
    local leaks = math.abs(lost(row) or 0) > 0.05 * math.abs(flow.start)
    local colour = leaks and { 200, 40, 40 } or { 60, 90, 160 }
    local bar = core.zeros(1, 3, 6, length)
    for c = 1, 3 do bar[1][c]:fill_(colour[c]) end
    picture:paste_(bar, 8 * i - 6, 1)
  end
  return picture
end

return M
