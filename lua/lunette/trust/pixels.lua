---The check "do the map's pixels matter?" Squares of the picture are filled in, those
---where the map is largest first, until half of the picture is gone; the lead of the
---class over the others must fall further than with the same map moved elsewhere, and
---with the picture's edges. Two ways to fill, smoothly and by the mean colour, must
---agree.
local asking = require "lunette.explain.asking"
local controls = require "lunette.explain.controls"
local core = require "lunette.core"
local impute = require "lunette.explain.impute"
local margin = require "lunette.attack.margin"
local patches = require "lunette.explain.patches"
local text = require "lunette.base.text"

local CELLS = 28 -- squares a side


---The factor by which a picture can be reduced with squares staying whole.
local function coarse_of(side, h, w)
  for _, f in ipairs { 4, 2 } do
    if side % f == 0 and h % f == 0 and w % f == 0 then return f end
  end
  return 1
end


---The squares of a picture, and how they are filled and measured.
local function plan_of(s)
  local h, w = s.x:dim(3), s.x:dim(4)
  local side = math.max(1, math.min(h, w) // CELLS)
  local columns, rows = -(-w // side), -(-h // side)
  local o = { score = margin.lead({ s.class }), modifiers = margin.modifiers(s.run.net),
              batch = s.o.batch }
  return { side = side, coarse = coarse_of(side, h, w), rows = rows, columns = columns,
           count = rows * columns, labels = patches.grid(h, w, side), o = o,
           case = { run = s.run, i = 1 }, steps = s.o.steps,
           mean = s.x:mean { dims = { 3, 4 }, keepdims = 1 } }
end


---The means of the squares moved down and to the right, round the edges.
local function rolled(means, plan, down, right)
  local moved = {}
  for k = 0, plan.count - 1 do
    local row = (k // plan.columns + down) % plan.rows
    local column = (k % plan.columns + right) % plan.columns
    moved[row * plan.columns + column + 1] = means[k + 1]
  end
  return moved
end


---Draws `count` shifts { down, across }, counted in squares of the grid, each by at
---least a quarter of the grid's side.
local function shifts(plan, count, seed)
  local list = {}
  for k = 1, count do
    local u = core.uniform(seed, k, 2)
    local function far(size, v)
      local least = math.max(1, size // 4)
      return least + math.floor(v * (size - 2 * least + 1))
    end
    list[k] = { far(plan.rows, u[1]), far(plan.columns, u[2]) }
  end
  return list
end


---Masks (steps,1,H,W) of the squares filled so far, in the order of `means`.
local function gone_of(plan, means)
  local ranks = patches.ranks(plan.labels, means)
  local h, w = ranks:dim(1), ranks:dim(2)
  local all = core.zeros(plan.steps, 1, h, w)
  for k = 1, plan.steps do
    all[k][1] = ranks:le(math.max(1, math.floor(plan.count * (k / plan.steps) ^ 2 / 2)))
  end
  return all
end


---Ways to fill: f(x, gone (k,1,H,W), plan) -> (k,C,H,W).
local fills = {
  ---The mean colour.
  mean = function(_, _, plan) return plan.mean end,
  ---A smooth surface over what is left, at a quarter of the resolution.
  smooth = function(x, gone, plan)
    local how = { kernel = plan.coarse, stride = plan.coarse }
    local filled = impute.linear(x:avg_pool2d(how), gone:avg_pool2d(how):gt(0.5),
                                 { close = 1e-3 })
    return filled:resize(x:dim(3), x:dim(4))
  end,
}


---The mean lead over all steps, for every order of squares.
local function areas(s, plan, fill, orders)
  local all = {}
  for n, means in ipairs(orders) do
    local gone = gone_of(plan, means)
    all[n] = asking.mean(asking.scores(plan.case, plan.o, plan.steps, function(first, k)
      local some = gone:rows(first, first + k - 1)
      return s.x * (1 - some) + fills[fill](s.x, some, plan) * some
    end))
  end
  return all
end


---The orders that are compared, as means of squares: the map, moved maps, edges.
local function orders_of(s, plan)
  local map, h, w = s.own, s.x:dim(3), s.x:dim(4)
  if map:dim(1) ~= h or map:dim(2) ~= w then -- of a layer's size
    map = map:view(1, map:dim(1), map:dim(2)):resize(h, w)[1]
  end
  local means = patches.means(map, plan.labels)
  local orders = { means }
  for _, shift in ipairs(shifts(plan, s.o.shifts, s.o.seed)) do
    orders[#orders + 1] = rolled(means, plan, shift[1], shift[2])
  end
  local edges = controls.control("edges", s.run)[1]
  orders[#orders + 1] = patches.means(edges, plan.labels)
  return orders
end


---By how much the map lowers the lead more than its controls, in units of the lead that
---the picture has over an empty one.
local function gains_of(all, unit)
  local gains, beaten = {}, 0
  for n = 2, #all - 1 do gains[n - 1] = (all[n] - all[1]) / unit end
  table.sort(gains)
  for _, g in ipairs(gains) do beaten = beaten + (g > 0 and 1 or 0) end
  return { moved = gains, edges = (all[#all] - all[1]) / unit,
           mean = asking.mean(gains), beaten = beaten,
           -- 5 % at each end, of many; of few their ends
           low = gains[math.floor(0.05 * #gains) + 1],
           high = gains[math.ceil(0.95 * #gains)] }
end


local function unjudged(why)
  return { name = "pixels", verdict = "unjudged", text = why,
           short = "its pixels: not asked" }
end


---The numbers in words: falls of the class's lead, 1 being its lead over that in an
---empty picture.
local function numbers_of(g, places)
  local function than(v)
    return ("%.2f %s than without"):format(math.abs(v), v < 0 and "less" or "further")
  end
  return ("%s the same shape elsewhere [%.2f, %.2f], %s edges (1: its lead over an "
    .. "empty picture; %s)"):format(than(g.mean), g.low, g.high, than(g.edges),
    text.count(places, "place"))
end

local FALLS = "without its brightest half the class's lead falls "


---The verdict of both ways to fill, and the sentence. Two places of three must be
---beaten for a doubt, all of them and the edges for more.
local function judged(smooth, mean, places)
  local least = math.min(smooth.beaten, mean.beaten)
  local numbers = FALLS .. numbers_of(smooth, places)
  if least < 2 / 3 * places then
    return "fail", ("Its pixels matter no more than others: %s."):format(numbers)
  end
  local edges = math.min(smooth.edges, mean.edges)
  if least == places and edges > 0 then
    return "pass", ("Its pixels matter: %s."):format(numbers)
  end
  local doubt = least == places and "no more than the picture's edges do"
    or "not surely"
  return "weak", ("Its pixels matter, %s: %s."):format(doubt, numbers)
end


---The picture's lead over that of its mean colour, and the least that can be judged.
local function unit_of(s, plan)
  local whole = asking.clean(plan.case, plan.o)
  local empty = asking.scores(plan.case, plan.o, 1, function()
    return plan.mean:expand { shape = s.x:shape() }:clone()
  end)[1]
  return whole - empty, 1e-3 * math.max(1, math.abs(whole))
end


---@param s lunette.TrustSubject
---@return lunette.TrustCheck
return function(s)
  if not s.class or s.run.output:dim() ~= 2 then
    return unjudged("Whether its pixels matter cannot be asked: the score is no class "
                    .. "of the network's first output.")
  end
  local plan = plan_of(s)
  local unit, least = unit_of(s, plan)
  if unit <= least then
    return unjudged(("Whether its pixels matter cannot be asked: the picture says no "
      .. "more for %s than its mean colour does."):format(s.name))
  end
  local orders = orders_of(s, plan)
  local smooth = gains_of(areas(s, plan, "smooth", orders), unit)
  local mean = gains_of(areas(s, plan, "mean", orders), unit)
  local verdict, told = judged(smooth, mean, s.o.shifts)
  local short = ("its pixels: %.2f [%.2f, %.2f], edges %.2f"):format(smooth.mean,
    smooth.low, smooth.high, smooth.edges)
  return { name = "pixels", verdict = verdict, text = told, short = short,
           smooth = smooth, mean = mean }
end
