---What a call warns of: maps that are the same everywhere, with cause and remedy; a
---softmax so sure that next to nothing comes back through it; maps that are no numbers.
local dead = require "lunette.explain.dead"
local forward = require "lunette.net.forward"
local saturated = require "lunette.explain.saturated"
local story = require "lunette.explain.story"
local warn = require "lunette.base.warn"
local witness = require "lunette.explain.witness"

local M = {}

---@class lunette.Told
---@field row lunette.Method
---@field o table          its options, of one score
---@field run lunette.Run
---@field image integer
---@field k integer        which of the call's scores
---@field slopes boolean   were gradients asked for?


-- flat maps --------------------------------------------------------------------------


---The layers whose map it is: of a map of the picture none.
local function layers_of(row, o)
  if row.draws == "map" or not o.layer then return {} end
  return o.layer.name and { o.layer } or o.layer
end


---Where the signal died, or nil.
local function where_it_died(told)
  local row, o = told.row, told.o
  if row.within then row, o = row.within(o, told.run.net) end
  if not row.options.modifiers and not row.options.layer then return nil end
  local list = layers_of(row, o)
  for i = 1, math.max(1, #list) do
    local ok, why = pcall(dead.why, told.run, o, told.image, told.k, list[i])
    if not ok and tostring(why):find("interrupted", 1, true) then error(why, 0) end
    if ok and why then return why end
  end
  return nil
end


---What a method's row says of maps that are the same everywhere.
local function said_of_flat(told, is_zero)
  local flat = told.row.flat
  if type(flat) == "function" then return flat(told.run, told.o) end
  return is_zero and flat or nil
end


---Why the map of an image is the same everywhere.
local function why_flat(told, raw)
  local s, o = raw:stats(), told.o
  local sure = M.saturation(told)
  if sure then return sure end
  if s.min ~= s.max then
    return ("before %s it lies between %.3g and %.3g; use raw = true to see it"):format(
      o.relu and "relu" or "it was finished", s.min, s.max)
  end
  local why = s.min == 0 and where_it_died(told)
  local own = why or said_of_flat(told, s.min == 0)
  if own then return own end
  local at = o.layer and story.told(o.layer) or "the picture"
  if type(at) == "table" then at = table.concat(at, ", ") end
  if s.min == 0 then
    return ("what reaches %s is 0 wherever its values are not, or cancels"):format(at)
  end
  return ("what follows %s weighs every place alike, as a mean over places does; an "
          .. "earlier layer may tell them apart"):format(at)
end


-- saturated ends ---------------------------------------------------------------------


---Why hardly any gradient comes through the network's end for an image, or nil: of
---methods that run copies, for all of them.
---@param told lunette.Told
---@return string?
function M.saturation(told)
  local o, run = told.o, told.run
  if not told.row.options.modifiers or not o.score then return nil end
  local known = witness.of(run, told.k, told.image)
  if known then return saturated.told(known.sure or nil, told.slopes) end
  if forward.is_released(run) then return nil end
  return saturated.told(saturated.at(run, o.score, o.modifiers, told.image),
                        told.slopes)
end


---"the values of image 1", "the values of images 1, 2 and 5".
---@param set table<integer, true>
local function images_text(set)
  local list = {}
  for image in pairs(set) do list[#list + 1] = image end
  table.sort(list)
  if #list == 1 then return ("the values of image %d"):format(list[1]) end
  local most = math.min(#list, 8)
  local last = #list > most and ("%d more"):format(#list - most + 1) or list[most]
  local first = table.concat(list, ", ", 1, most - 1)
  return ("the values of images %s and %s"):format(first, last)
end


---Warns of images whose gradient is next to nothing, though their map shows something:
---one line for all of the same kind.
local function warn_of_saturated(row, found)
  local order = {}
  for _, one in ipairs(found) do
    if not order[one.why] then
      order[one.why] = {}
      order[#order + 1] = one.why
    end
    order[one.why][one.image] = true
  end
  for _, why in ipairs(order) do
    warn(("%s: %s show next to nothing of the score: %s"):format(row.name,
         images_text(order[why]), why))
  end
end


-- a call's maps ----------------------------------------------------------------------


---A map's row of the batch: whose it is.
local function told_of(row, o, run, n, slopes)
  local k, image = (n - 1) // run:count() + 1, (n - 1) % run:count() + 1
  if o.scores then
    k = math.min(k, #o.scores)
    o = setmetatable({ score = o.scores[k] }, { __index = o })
  else
    k = 1
  end
  return { row = row, o = o, run = run, image = image, k = k, slopes = slopes }
end


---"image 1", and of several maps a picture whose.
local function whose(told, o)
  local score = o.scores and (" (%s)"):format(told.o.score.name) or ""
  return ("image %d%s"):format(told.image, score)
end


---Warns about a call's maps.
---@param row lunette.Method
---@param map lunette.Tensor   as they are handed out
---@param raw lunette.Tensor   as they came
---@param o table
---@param run lunette.Run
---@param slopes boolean       were gradients asked for?
function M.warn(row, map, raw, o, run, slopes)
  local found = {}
  for n = 1, map:dim(1) do
    local one <close> = map:rows(n) -- views keep what they are of
    local before <close> = raw:rows(n)
    local s, told = one:stats(), told_of(row, o, run, n, slopes)
    if not s.finite or not before:stats().finite then
      warn(("%s: the map of %s holds NaN or infinity"):format(row.name,
           whose(told, o)))
    elseif s.min == s.max then
      warn(("%s: the map of %s is %g everywhere; %s"):format(row.name, whose(told, o),
           s.min + 0.0, -- which makes -0 a plain 0
           why_flat(told, before)))
    elseif slopes then
      local why = M.saturation(told)
      if why then found[#found + 1] = { why = why, image = told.image } end
    end
  end
  warn_of_saturated(row, found)
end

return M
