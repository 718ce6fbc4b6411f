---What a call that runs copies of pictures remembers of them until it has ended: how to
---make some of them again, and whether every one of them ended in a saturated softmax.
---So it can be told why a map is 0 where the run itself has no values.
local saturated = require "lunette.explain.saturated"
local work = require "lunette.explain.work"

local M = {}

local calls = setmetatable({}, { __mode = "k" }) -- run -> what is remembered

local inert = setmetatable({}, { __close = function() end })


---Begins to remember; within another call on the same run nothing is begun.
---@param run lunette.Run
---@return table   close it
function M.open(run)
  if calls[run] then return inert end
  calls[run] = {}
  return setmetatable({}, { __close = function() calls[run] = nil end })
end


---@class lunette.Witness
---@field sure? string|false   why all copies are saturated; false: one is not
---@field makers table<function, integer>   what makes copies, and how many there are
---  (none where the picture itself serves)


---What is known of the copies of an image under a score.
---@param run lunette.Run
---@param k integer       which of the call's scores
---@param image integer
---@return lunette.Witness?
function M.of(run, k, image)
  local call = calls[run]
  return call and call[k] and call[k][image] or nil
end


---Notes that copies of an image were run.
---@param run lunette.Run
---@param image integer
---@param copies { part: lunette.Run, score: lunette.Score,
---  modifiers?: lunette.Modifier[], k?: integer, count?: integer,
---  make?: fun(s: integer): lunette.Tensor }   the run of some; which of the call's
---  scores; how many there are and what makes each again (the picture itself)
function M.note(run, image, copies)
  local call, k = calls[run], copies.k or work.current(run)
  if not call then return end
  call[k] = call[k] or {}
  local known = call[k][image] or { makers = {} }
  call[k][image] = known
  if copies.make then known.makers[copies.make] = copies.count end
  for n = 1, known.sure == false and 0 or copies.part:count() do
    known.sure = saturated.at(copies.part, copies.score, copies.modifiers, n) or false
    if not known.sure then return end
  end
end


---Some of the copies: the first, one in the middle and the last of every kind.
---@param known lunette.Witness
---@return (fun(): lunette.Tensor)[]
function M.copies(known)
  local list = {}
  for make, count in pairs(known.makers) do
    for _, s in ipairs { 1, (count + 1) // 2, count } do
      list[#list + 1] = function() return make(s) end
    end
  end
  return list
end

return M
