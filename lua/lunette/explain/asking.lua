---What a network says of altered pictures, for metrics: scores of one image of a run
---under masks, or of pictures that are made when they are needed, some at a time.
local apply = require "lunette.modifiers.apply"
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local forward = require "lunette.net.forward"
local perturb = require "lunette.explain.perturb"
local scored = require "lunette.net.scored"
local scores = require "lunette.score"

local M = {}

---@class lunette.Case   of a metric: image i of a run
---@field run lunette.Run
---@field i integer


---The picture (1,C,H,W).
---@param case lunette.Case
---@return lunette.Tensor
function M.picture(case) return case.run.images:rows(case.i) end


---The scores of `count` pictures.
---@param case lunette.Case
---@param o table          score, modifiers, batch
---@param count integer
---@param make fun(first: integer, k: integer): lunette.Tensor   (k,C,H,W)
---@return number[]
function M.scores(case, o, count, make)
  local score = scores.resolve(o.score, case.run):take(case.i)
  local how = { forward = apply.forward(o.modifiers, case.run) }
  local all = core.zeros(count)
  for first = 1, count, o.batch do
    local k = math.min(o.batch, count - first + 1)
    local batch <close> = make(first, k)
    all:rows(first, first + k - 1):copy_(perturb.score_of(case.run, batch, score, how))
  end
  return all:totable()
end


---Has the run the values of the layer that is scored?
local function has_scored(run, score, modifiers)
  if score.parts then return false end -- of several layers
  local state = forward.state_of(run)
  local name = scored.layer(run, score, modifiers or {}).name
  return state.node[name] ~= nil and not state.dropped[name]
end


---The score of the picture itself: its run has it already, mostly.
---@param case lunette.Case
---@param o table
---@return number
function M.clean(case, o)
  local score = scores.resolve(o.score, case.run)
  if has_scored(case.run, score, o.modifiers) then
    return case.run:values(score, { modifiers = o.modifiers }):get(case.i)
  end
  return M.scores(case, o, 1, function() return M.picture(case):clone() end)[1]
end


---The scores under masks: the picture where one is 1, the baseline where it is 0.
---@param case lunette.Case
---@param o table     score, modifiers, baseline, batch
---@param masks lunette.Masks|lunette.Tensor
---@return number[]
function M.masked(case, o, masks)
  return perturb.values(case.run, { masks = masks, score = o.score,
    modifiers = o.modifiers, baseline = o.baseline, batch = o.batch, only = case.i,
    progress = false })[case.i]:totable()
end


---Masks that take away pieces one after the other: piece k of a ranking has the values
---first + 1 .. last of `ranks` (from 1). `comes`: they are put back instead.
---@param ranks lunette.Tensor   (H,W) or (C,H,W): the place of every value in an order
---@param part integer           values a piece
---@param steps integer
---@param comes? boolean
---@return lunette.Masks         steps + 1 of them: of no piece, of one ...
function M.pieces(ranks, part, steps, comes)
  local s = ranks:shape()
  if #s == 2 then table.insert(s, 1, 1) end
  local place = ranks:reshape(s)
  return { count = steps + 1, get = function(first, k)
    local all = core.zeros(k, table.unpack(s))
    for n = 1, k do
      local gone = (first + n - 2) * part
      all[n] = comes and place:le(gone) or place:gt(gone)
    end
    return all
  end }
end


---The place of every value in the order of a map, from 1: the largest first, of equal
---ones the one that lies first.
---@param map lunette.Tensor   any shape
---@return lunette.Tensor      of that shape
function M.ranks(map)
  local ranks = {}
  for place, at in ipairs(map:view(map:size()):argsort():totable()) do
    ranks[math.floor(at)] = place
  end
  return core.tensor(ranks):view(map:shape())
end


---A map's values for every channel of the picture: a map without channels is repeated.
---@param map lunette.Tensor    (H,W) or (C,H,W)
---@param case lunette.Case
---@return lunette.Tensor       (C,H,W)
function M.for_channels(map, case)
  local s = M.picture(case):shape()
  local h, w = map:dim(map:dim() - 1), map:dim(map:dim())
  if h ~= s[3] or w ~= s[4] or map:dim() == 3 and map:dim(1) ~= s[2] then
    blame(("the map is (%s), the picture (%s): give the map of the picture's size"
      ):format(table.concat(map:shape(), ","), table.concat(s, ",", 2)))
  end
  if map:dim() == 3 then return map end
  return map:view(1, h, w):expand { shape = { s[2], h, w } }
end


---Raises where perturbations (K,C,H,W) of one's own are not of the picture's shape.
---@param what string
---@param draws lunette.Tensor|false
---@param case lunette.Case
function M.check_draws(what, draws, case)
  if not draws then return end
  local s = case.run.images:shape()
  local ok = require("lunette.base.options").is_tensor(draws)
  local d = ok and draws:shape() or {}
  if #d == #s and table.concat(d, ",", 2) == table.concat(s, ",", 2) then return end
  error(("%s: draws are tensors (K,%s), got %s"):format(what, table.concat(s, ",", 2),
        ok and "(" .. table.concat(d, ",") .. ")" or type(draws)), 0)
end


---The area under a curve of equal steps, from 0 to 1: trapezoids.
---@param curve number[]
---@return number
function M.area(curve)
  if #curve < 2 then return curve[1] or 0 end
  local sum = (curve[1] + curve[#curve]) / 2
  for k = 2, #curve - 1 do sum = sum + curve[k] end
  return sum / (#curve - 1)
end


---Pearson's correlation of two lists, in doubles; 0 where one is constant.
---@param a number[]
---@param b number[]
---@return number
function M.correlation(a, b)
  local n, ma, mb = #a, 0, 0
  for k = 1, n do ma, mb = ma + a[k] / n, mb + b[k] / n end
  local ab, aa, bb = 0, 0, 0
  for k = 1, n do
    local x, y = a[k] - ma, b[k] - mb
    ab, aa, bb = ab + x * y, aa + x * x, bb + y * y
  end
  return aa > 0 and bb > 0 and ab / math.sqrt(aa * bb) or 0
end


---The mean of a list.
---@param list number[]
---@return number
function M.mean(list)
  local sum = 0
  for _, v in ipairs(list) do sum = sum + v end
  return #list > 0 and sum / #list or 0
end


---The middle value of a list; 0 of none.
---@param list number[]
---@return number
function M.median(list)
  local sorted = table.move(list, 1, #list, 1, {})
  table.sort(sorted)
  local n = #sorted
  if n == 0 then return 0 end
  return (sorted[(n + 1) // 2] + sorted[n // 2 + 1]) / 2
end

return M
