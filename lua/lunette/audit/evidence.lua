---What else tells a trigger from a generic disturbance: does it work elsewhere,
---faintly, on another network; do maps lie on it; does the old label come back where it
---is filled in.
local asking = require "lunette.explain.asking"
local blame = require "lunette.base.blame"
local bootstrap = require "lunette.rank.bootstrap"
local core = require "lunette.core"
local entrants = require "lunette.rank.entrants"
local impute = require "lunette.explain.impute"
local invert = require "lunette.audit.invert"
local subject = require "lunette.audit.subject"

local M = {}

local VISIBLE = 0.25 -- of the mask's largest value: what counts as covered


---Where a trigger lies: (H,W), 1 on its pixels and on those beside them, since maps are
---coarse. A mask that is faint everywhere has a place all the same.
---@param trigger lunette.AuditTrigger
---@return lunette.Tensor
function M.region(trigger)
  local on = trigger.mask:gt(VISIBLE * trigger.mask:stats().max)
  local h, w = on:dim(3), on:dim(4)
  local reach = math.max(1, math.min(h, w) // 32)
  local grown = on:max_pool2d { kernel = 2 * reach + 1, stride = 1, padding = reach }
  return grown:view(h, w)
end


-- does it work elsewhere? ------------------------------------------------------------


---A plane moved down and right round the edges.
local function rolled(t, dim, by)
  local n = t:dim(dim)
  local a = t:narrow { dim = dim, start = n - by + 1, length = by }
  local b = t:narrow { dim = dim, start = 1, length = n - by }
  return core.ops.concat(a, b, { dim = dim })
end


local function moved(trigger, down, right)
  local function both(t) return rolled(rolled(t, 3, down), 4, right) end
  return { mask = both(trigger.mask), pattern = both(trigger.pattern) }
end


local function share(s, levels, trigger, class)
  local hits, n = invert.hits(s, levels, trigger, class)
  return hits / n
end


---The trigger's success moved by a quarter and a half of the picture, at half strength,
---and on a clean network of the same recipe.
---@param s lunette.AuditSubject
---@param trigger lunette.AuditTrigger
---@param levels lunette.Tensor      unseen pictures of other classes
---@param reference? lunette.Net
---@return { moved: number, faint: number, reference?: number }
function M.transfer(s, trigger, levels, reference)
  local h, w, class = levels:dim(3), levels:dim(4), trigger.class
  local places = { { h // 4, w // 4 }, { h // 2, w // 2 } }
  local sum = 0
  for _, by in ipairs(places) do
    sum = sum + share(s, levels, moved(trigger, by[1], by[2]), class)
  end
  local faint = { mask = trigger.mask * 0.5, pattern = trigger.pattern }
  return { moved = sum / #places, faint = share(s, levels, faint, class),
           reference = reference and share({ net = reference, space = s.space }, levels,
                                           trigger, class) or nil }
end


---Stamped pictures, filled in where the trigger is: how many get their old class back.
---@return number share
function M.restored(s, trigger, levels)
  local before = subject.says(s.net, s.space, levels)
  local gone = M.region(trigger)
  local h, w = gone:dim(1), gone:dim(2)
  local mask = gone:view(1, 1, h, w):expand { shape = { levels:dim(1), 1, h, w } }
  local filled = impute.linear(invert.lay(levels, trigger), mask, { close = 1e-3 })
  local back = 0
  for i, class in ipairs(subject.says(s.net, s.space, filled)) do
    back = back + (class == before[i] and 1 or 0)
  end
  return back / #before
end


-- do maps lie on it? -----------------------------------------------------------------


---How maps are made: methods by name, occlusion with windows of a seventh of the side.
---@param name string
---@param net lunette.Net
---@return fun(run: lunette.Run, o: table): lunette.Tensor
function M.explainer(name, net)
  if name == "occlusion" then
    local side = math.max(2, math.min(net.input[2], net.input[3]) // 7)
    return entrants.with("occlusion", { window = side,
                                        stride = math.max(1, side // 2) })
  end
  local one, message = entrants.of(name)
  if not one then blame("audit: " .. message) end
  return one.explain
end


---The share of a map's positive part that lies in a region.
local function energy_of(map, region)
  local positive = map:relu()
  local all = positive:sum():item()
  return all > 0 and (positive * region):sum():item() / all or 0
end


---Maps of levels for classes, and the share of each that lies in a region.
local function energies(net, s, explain, levels, classes, region)
  local list = {}
  for i = 1, levels:dim(1) do
    local run <close> = net:run(s.space:input(levels:rows(i)))
    local map = explain(run, { score = classes[i] })[1]:detach()
    list[i] = energy_of(map, region)
    collectgarbage "step"
  end
  return list
end


---The interval (95 %) of the mean of paired differences, by bootstrap; none of too few.
local function difference(a, b, seed)
  local means = {}
  local draws = #a >= bootstrap.least and 1000 or 0
  for d, places in ipairs(bootstrap.draws(#a, draws, seed)) do
    local sum = 0
    for _, p in ipairs(places) do sum = sum + a[p] - b[p] end
    means[d] = sum / #a
  end
  local low, high = bootstrap.interval(means)
  return { mean = asking.mean(a) - asking.mean(b), low = low, high = high }
end


local function same(class, n)
  local list = {}
  for i = 1, n do list[i] = class end
  return list
end


---Energy on a trigger by one method: of stamped pictures, asked for the trigger's
---class; of the same pictures without it, in the same place, asked for what the network
---says; and, with a clean network, of stamped pictures asked for what that one says.
---@param s lunette.AuditSubject
---@param trigger lunette.AuditTrigger
---@param levels lunette.Tensor
---@param method string
---@param o { reference?: lunette.Net, seed: integer }
---@return table   method, stamped, plain, area, gain { mean, low, high }, reference
function M.energy(s, trigger, levels, method, o)
  local region, n = M.region(trigger), levels:dim(1)
  local explain = M.explainer(method, s.net)
  local laid = invert.lay(levels, trigger)
  local on = energies(s.net, s, explain, laid, same(trigger.class, n), region)
  local off = energies(s.net, s, explain, levels,
                       subject.says(s.net, s.space, levels), region)
  local row = { method = method, stamped = asking.mean(on), plain = asking.mean(off),
                area = region:mean():item(), gain = difference(on, off, o.seed) }
  if o.reference then
    local clean = energies(o.reference, s, M.explainer(method, o.reference), laid,
      subject.says(o.reference, s.space, laid), region)
    row.reference = asking.mean(clean)
    row.over_reference = difference(on, clean, o.seed)
  end
  return row
end

return M
