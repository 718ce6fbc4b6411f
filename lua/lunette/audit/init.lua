---An audit of a network: is there a class that a small trigger leads to from all others
---(a backdoor), how easily do labels and maps move? It is told nothing of a trigger: it
---looks for the smallest one of every class, compares them, and asks explanations of
---pictures that bear the smallest where they look.
---
---  local report = lu.audit(net, images)
---  print(report)
local blame = require "lunette.base.blame"
local attacks = require "lunette.audit.attacks"
local evidence = require "lunette.audit.evidence"
local fingerprint = require "lunette.explain.fingerprint"
local options = require "lunette.base.options"
local progress = require "lunette.base.progress"
local report = require "lunette.audit.report"
local subject = require "lunette.audit.subject"
local space = require "lunette.attack.space"
local triggers = require "lunette.audit.triggers"
local warn = require "lunette.base.warn"
local verdict = require "lunette.audit.verdict"
local opt = options.opt

local M = {}

local MANY = 20 -- classes that are looked at, unless told otherwise

local function word(v) return type(v) ~= "string" and "a folder's name" or nil end

M.options = {
  pictures = opt.count(64, "that triggers are found with; the rest judges them"),
  steps = opt.count(100, "of a descent"), batch = opt.count(8, "pictures a step"),
  restarts = opt.count(2, "descents a class; the smallest trigger counts"),
  rate = opt.number(0.1, "of Adam, for the mask", 0),
  cell = opt.count(0, "pixels of a square of the mask; 0: about a 56th of the side", 0),
  weight = opt.number(0.16, "of a square of the mask, at the beginning", 0),
  least = opt.number(verdict.limits.success, "share of unseen pictures in which the "
    .. "mask of a class must work", 0, 1),
  classes = opt.any(false, "a list of class ids (default: all, of many 20)"),
  reference = opt.any(false, "a clean network of the same kind, for comparison"),
  methods = opt.any({ "gradcam", "saliency", "occlusion" }, "whose maps are asked"),
  shown = opt.count(12, "pictures whose maps are measured"),
  backdoor = opt.flag(true, "look for a trigger"),
  attacks = opt.flag(true, "attack labels and maps"),
  attacked = opt.count(16, "pictures that are attacked", 4),
  maps = opt.count(2, "pictures whose maps are attacked"),
  tries = opt.count(20, "squares of an attack on a map"),
  seed = opt.count(1, "of the random numbers", 0),
  checkpoint = opt.any("", "a folder that an interrupted audit goes on from", word),
  progress = opt.quiet(opt.any(true, "false: no bar")),
}


---The classes to look at: all of a few, evenly spaced ones of many.
local function classes_of(o, count)
  local list = {}
  if not o.classes then
    local n = math.min(count, MANY)
    for i = 1, n do list[i] = (i - 1) * count // n end
    return list
  end
  for i, class in ipairs(o.classes) do
    if not math.tointeger(class) or class < 0 or class >= count then
      blame(("audit: class %s is none of 0 .. %d"):format(tostring(class), count - 1))
    end
    list[i] = class
  end
  return list
end


---The side of a square of the mask: one that divides the picture's.
local function cell_of(wish, h, w)
  local cell = wish > 0 and wish or math.max(1, math.min(h, w) // 56)
  while wish == 0 and (h % cell > 0 or w % cell > 0) do cell = cell - 1 end
  if h % cell > 0 or w % cell > 0 then
    blame(("audit: cell = %d does not divide pictures of %d x %d"):format(cell, h, w))
  end
  return cell
end


---What decides the triggers, in one line.
local function identity_of(s, o)
  return ("audit of %s %s: pictures %d of %s, steps %d, batch %d, restarts %d, "
    .. "rate %g, cell %d, weight %g, least %g, seed %d"):format(s.net.name,
    fingerprint.of(s.net), o.pictures, fingerprint.digest(s.levels), o.steps, o.batch,
    o.restarts, o.rate, o.cell, o.weight, o.least, o.seed)
end


---Tests the smallest trigger on pictures that did not find it: elsewhere, on another
---network, filled in. Maps are made only where the verdict may depend on them: they
---take up to half of all the time.
local function evidence_of(s, outlier, o, bar)
  local trigger = outlier.trigger
  local levels = s:others(trigger.class, o.pictures + 1, s.levels:dim(1))
  local few = levels:narrow { dim = 1, start = 1,
                              length = math.min(o.shown, levels:dim(1)) }
  local found = { energies = {}, transfer = evidence.transfer(s, trigger, levels,
                                                              o.reference or nil),
                  restored = evidence.restored(s, trigger, few), pictures = few }
  if not verdict.stands_out(outlier) then return found end
  for i, method in ipairs(o.methods) do
    found.energies[i] = evidence.energy(s, trigger, few, method,
      { reference = o.reference or nil, seed = o.seed })
    bar:add(1)
  end
  found.control = evidence.energy(s, outlier.other, few, o.methods[1],
    { seed = o.seed })
  return found
end


---The search for a backdoor.
local function search(s, o, bar)
  local list, message = triggers.all(s, o, identity_of(s, o), bar)
  if not list then return nil, message end
  local outlier = verdict.outlier(list)
  local pixels = s.levels:dim(3) * s.levels:dim(4)
  local found = { triggers = list, outlier = outlier }
  if outlier then found.evidence = evidence_of(s, outlier, o, bar) end
  found.judged = verdict.of(outlier, found.evidence, pixels)
  return found
end


local function check(net, x, o)
  if not options.is_tensor(x) or x:dim() ~= 4 then
    blame("audit: pictures (N,C,H,W) of net:images are wanted")
  end
  if o.backdoor and x:dim(1) < o.pictures + 20 then
    blame(("audit: pictures = %d find triggers and at least 20 more judge them; there "
      .. "are %d"):format(o.pictures, x:dim(1)))
  end
  for _, name in ipairs(o.methods) do evidence.explainer(name, net) end -- before hours
  local twin = o.reference
  if twin and table.concat(twin.input, "x") ~= table.concat(net.input, "x") then
    blame(("audit: the reference %s takes pictures of %s, %s of %s"):format(twin.name,
      table.concat(twin.input, "x"), net.name, table.concat(net.input, "x")))
  end
end


---The search and the attacks that are asked for, as a report; nil and a message where
---the checkpoint could not be read or written.
local function audited(s, o, bar)
  local found, message
  if o.backdoor then
    found, message = search(s, o, bar)
    if not found then return nil, message end
  end
  return report.new(s, o, found, o.attacks and attacks.all(s, o, bar) or nil)
end


---Audits a network: a trigger is looked for, labels and maps are attacked.
---Caveat: "nothing" says that nothing of the kinds that it knows was found; the report
---  names what it cannot see.
---Example:
---  local net = lu.load "glyphs"
---  local images = lu.glyphs.input(lu.glyphs.scenes { n = 24, seed = 7 }.images)
---  print(lu.audit(net, images, { pictures = 4, steps = 2, restarts = 1,
---                                classes = { 0, 3, 5 }, attacks = false }))
---@param net lunette.Net
---@param x lunette.Tensor   (N,C,H,W) of net:images, without labels; at least 20 more
---  than `pictures`
---@param opts? table        of M.options
---@return lunette.AuditReport? report   printed, :record(), :draw()
---@return string? message   nil: the checkpoint could not be read or written
function M.run(net, x, opts)
  local o = options.check("audit", opts, M.options, 3)
  check(net, x, o)
  local s = subject.new(net, space.of(net):levels(x:detach()):clamp(0, 255))
  o.classes = classes_of(o, s.count)
  o.cell = cell_of(o.cell, net.input[2], net.input[3])
  local parts = (o.backdoor and #o.classes + #o.methods or 0)
    + (o.attacks and #attacks.rows + 2 + #o.methods or 0)
  local bar <close> = progress.start("audit", parts, o.progress)
  return warn.during(false, audited, s, o, bar) -- of flat maps there are many
end

return M
