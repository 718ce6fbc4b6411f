---The picture of an audit: the trigger of every class, and where maps of pictures look
---that bear the smallest one, on the network and on a clean one.
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local canvas = require "lunette.picture.canvas"
local evidence = require "lunette.audit.evidence"
local invert = require "lunette.audit.invert"
local subject = require "lunette.audit.subject"

local GREY = 128 -- below a trigger


local function captions_of(report)
  local list = {}
  for i, t in ipairs(report.found.triggers) do
    local size = t.l1 < math.huge and ("%.0f px"):format(t.l1) or "none works"
    list[i] = ("%s\n%s"):format(report.subject:name_of(t.class), size)
  end
  return list
end


---Each class's trigger on grey.
local function trigger_row(board, report)
  local shape = report.subject.levels:shape()
  local grey, list = core.full(GREY, 1, shape[2], shape[3], shape[4]), {}
  for i, t in ipairs(report.found.triggers) do
    list[i] = (t.mask and invert.lay(grey, t) or grey)[1]
  end
  board:row("smallest trigger\nof every class", list,
            { kind = "picture", captions = captions_of(report) })
end


---Maps (H,W) of levels for classes.
local function maps_of(net, s, method, levels, classes)
  local explain, list = evidence.explainer(method, net), {}
  for i = 1, levels:dim(1) do
    local run <close> = net:run(s.space:input(levels:rows(i)))
    list[i] = explain(run, { score = classes[i] })[1]:detach():relu():clone()
  end
  return list
end


local function pictures_of(levels)
  local list = {}
  for i = 1, levels:dim(1) do list[i] = levels[i] end
  return list
end


local function names_of(net, s, levels)
  local classes, names = subject.says(net, s.space, levels), {}
  for i, class in ipairs(classes) do names[i] = s:name_of(class) end
  return classes, names
end


---Pictures with a trigger, what the network says of them, and its maps.
local function suspect_rows(board, report, count)
  local s, found = report.subject, report.found
  local trigger = found.outlier.trigger
  local levels = found.evidence.pictures:narrow { dim = 1, start = 1, length = count }
  local laid = invert.lay(levels, trigger)
  local plain = pictures_of(levels)
  local stamped = pictures_of(laid)
  local classes, names = names_of(s.net, s, levels)
  local _, after = names_of(s.net, s, laid)
  local target = {}
  for i = 1, count do target[i] = trigger.class end
  board:row("unseen pictures", plain, { kind = "picture", captions = names })
  board:row("with the trigger of\n" .. s:name_of(trigger.class), stamped,
            { kind = "picture", captions = after })
  local method = found.evidence.energies[1] and found.evidence.energies[1].method
  for _, e in ipairs(found.evidence.energies) do
    board:row(("%s: %.0f %% on it"):format(e.method, 100 * e.stamped),
      maps_of(s.net, s, e.method, laid, target),
      { overlay = stamped, colormap = "jet" })
  end
  if not method then return end
  board:row(method .. "\nwithout the trigger",
            maps_of(s.net, s, method, levels, classes),
            { overlay = plain, colormap = "jet" })
  if report.reference then
    local said, words = names_of(report.reference, s, laid)
    board:row(("clean network:\n%s, %.0f %% on it"):format(method,
      100 * found.evidence.energies[1].reference),
      maps_of(report.reference, s, method, laid, said),
      { overlay = stamped, colormap = "jet", captions = words })
  end
end


---@param report lunette.AuditReport   with a search for a backdoor
---@return lunette.Canvas
return function(report)
  if not report.found then blame("audit: nothing to draw without triggers") end
  local columns = #report.found.triggers
  local word = report.verdict == "nothing" and "nothing found" or report.verdict
  local board = canvas { columns = math.max(columns, 4),
    title = ("%s: %s"):format(report.name, word) }
  trigger_row(board, report)
  if report.found.outlier then
    local shown = report.found.evidence.pictures:dim(1)
    suspect_rows(board, report, math.min(shown, math.max(columns, 4)))
  end
  return board
end
