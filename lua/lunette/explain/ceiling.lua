---A ceiling of memory for work in batches: how many copies fit is measured, batch by
---batch, beginning with one.
local blame = require "lunette.base.blame"
local core = require "lunette.core"

local M = {}

---@class lunette.Ceiling
---@field bytes? integer   nil: no ceiling
---@field most integer     copies at a time
---@field each? number     bytes a copy, as measured
---@field dearest? number  the most that was measured after the first batch, which makes
---  what all share
---@field last? integer    copies of the batch before
local Ceiling = {}
Ceiling.__index = Ceiling

local units = { K = 1 << 10, M = 1 << 20, G = 1 << 30, T = 1 << 40 }


---"1G", "300M", "1.5G" or a number of bytes.
---@param what string|number|false
---@return integer? bytes
function M.bytes(what)
  local number, unit = what, nil
  if type(what) ~= "number" then
    number, unit = tostring(what):match "^%s*([%d.]+)%s*([KMGT]?)i?B?%s*$"
  end
  local bytes = (tonumber(number) or 0) * (units[unit] or 1)
  return bytes >= 1 and bytes < 2 ^ 62 and math.floor(bytes) or nil
end


local ROOM = 64 << 20 -- bytes, for values that every copy of a batch has beside it


---As many copies as are wanted, or as values of this shape have room for: those of an
---early layer are larger than all that follows it.
---@param most integer
---@param shape integer[]   of one copy's
---@param times? integer    how often a copy has them (1)
---@return integer
function M.copies(most, shape, times)
  local bytes = 4 * (times or 1)
  for _, n in ipairs(shape) do bytes = bytes * n end
  return math.max(1, math.min(most, ROOM // bytes))
end


---"1.25G", as people write it.
local function text(bytes)
  if bytes >= units.G then return ("%.3gG"):format(bytes / units.G) end
  return ("%.0fM"):format(math.ceil(bytes / units.M))
end


---@param bytes? integer
---@param most integer    copies at a time that are wanted
---@param what string     for messages
---@return lunette.Ceiling
function M.new(bytes, most, what)
  return setmetatable({ bytes = bytes, most = most, what = what }, Ceiling)
end


local SHARE = 0.8 -- of the room, that batches of more than one may fill


---As many as fit, by what is held beside them and what the dearest batch took a copy.
---What a copy takes depends on its neighbours (parts of pictures are computed in groups
---of one size, and grow to the largest of them): so a batch is at most twice the last
---one, and a share of the room stays free.
local function fitting(ceiling)
  if not ceiling.bytes then return ceiling.most end
  collectgarbage()
  core.reset_peak()
  ceiling.before = core.memory().live
  if not ceiling.each then return 1 end
  local room = SHARE * (ceiling.bytes - ceiling.before) / ceiling.each
  return math.max(1, math.min(ceiling.most, 2 * ceiling.last, math.floor(room)))
end


---How many copies to take now.
---@param left integer   copies that are still to be made
---@return integer
function Ceiling:size(left)
  self.last = math.min(fitting(self), left)
  return self.last
end


---Measures what a batch of k took; raises where a single copy is over the ceiling.
---@param k integer
function Ceiling:done(k)
  if not self.bytes then return end
  local peak = core.memory().peak
  local each = math.max(1, (peak - self.before) / k)
  self.dearest = self.each and math.max(self.dearest or 1, each) -- not the first batch
  self.each = self.dearest or each
  if k > 1 or peak <= self.bytes then return end
  blame(("%s: a single copy takes %s beside the %s that are held, more than the "
    .. "ceiling of %s; give memory = \"%s\" or more"):format(self.what,
    text(peak - self.before), text(self.before), text(self.bytes),
    text(peak * 1.05)))
end

return M
