---A ceiling of memory for work in batches: how many copies fit is measured, batch by
---batch, beginning with one.
local core = require "lunette.core"

local M = {}

---@class lunette.Ceiling
---@field bytes? integer   nil: no ceiling
---@field most integer     copies at a time
---@field each? number     bytes a copy, as measured
local Ceiling = {}
Ceiling.__index = Ceiling

local units = { K = 1 << 10, M = 1 << 20, G = 1 << 30, T = 1 << 40 }


---"1G", "300M", "1.5G" or a number of bytes.
---@param what string|number|false
---@return integer? bytes
function M.bytes(what)
  if type(what) == "number" then return what >= 1 and math.floor(what) or nil end
  local number, unit = tostring(what):match "^%s*([%d.]+)%s*([KMGT]?)i?B?%s*$"
  number = tonumber(number)
  return number and number > 0 and math.floor(number * (units[unit] or 1)) or nil
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


---How many copies the next batch may have: the ceiling less what is held now, divided
---by the bytes a copy took in the last batch. The first batch has one copy. A batch of
---n takes a + b n bytes, where a is shared; so a/n + b a copy overestimates a larger
---batch.
---@return integer
function Ceiling:size()
  if not self.bytes then return self.most end
  collectgarbage()
  core.reset_peak()
  self.before = core.memory().live
  if not self.each then return 1 end
  local room = (self.bytes - self.before) / self.each
  return math.max(1, math.min(self.most, math.floor(room)))
end


---Measures what a batch of k took; raises where a single copy is over the ceiling.
---@param k integer
function Ceiling:done(k)
  if not self.bytes then return end
  local peak = core.memory().peak
  self.each = math.max(1, (peak - self.before) / k)
  if k > 1 or peak <= self.bytes then return end
  error(("%s: a single copy takes %s beside the %s that are held, more than the "
    .. "ceiling of %s; give memory = \"%s\" or more"):format(self.what,
    text(peak - self.before), text(self.before), text(self.bytes),
    text(peak * 1.05)), 0)
end

return M
