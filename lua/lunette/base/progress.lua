---Progress of long work: a bar with the time left, on stderr, only where that is a
---terminal and only once a second has passed. Work inside work shows one bar.
---
---  local bar <close> = progress.start("occlusion", count, opts.progress)
---  for i = 1, count do ... bar:add(1) end
local core = require "lunette.core"
local strict = require "lunette.base.strict"
local text = require "lunette.base.text"

local M = {}

---@class lunette.Progress
---@field total number
---@field count number
local Bar = strict.class("bar", {})
Bar.__index = Bar
Bar.__name = "lunette.Progress"

local inert = setmetatable({ silent = true, total = 0, count = 0 }, Bar)
local active -- the bar on the screen


---"1:05", "2:03:10"
local function clock(seconds)
  local s = math.floor(seconds + 0.5)
  if s >= 3600 then return ("%d:%02d:%02d"):format(s // 3600, s // 60 % 60, s % 60) end
  return ("%d:%02d"):format(s // 60, s % 60)
end


---The line of a bar, at most `width` columns.
---@param what string
---@param share number     0 .. 1
---@param left number      seconds
---@param width integer
---@return string
function M.line(what, share, left, width)
  local tail = ("%3d %%  %s left"):format(math.floor(100 * share), clock(left))
  local room = math.max(0, math.min(40, width - #what - #tail - 5))
  local done = math.floor(room * share + 0.5)
  local bar = "[" .. ("#"):rep(done) .. ("."):rep(room - done) .. "] "
  if room < 4 then bar = "" end
  return (what .. " " .. bar .. tail):sub(1, math.max(1, width - 1))
end


---Starts a bar for long work of one's own.
---Example:
---  local bar <close> = lu.progress("counting", 100)
---  for _ = 1, 100 do bar:add(1) end
---@param what string            "saliency"
---@param total number           units of work
---@param wish? boolean|function false: none; a function(done, total): called instead,
---  first with 0
---@return lunette.Progress      with :add(n) and :done(); close it
function M.start(what, total, wish)
  if active or wish == false or total <= 0 then return inert end
  if type(wish) ~= "function" and not core.is_tty(2) then return inert end
  local bar = setmetatable({
    what = text.escape(what), total = total, count = 0, begun = core.clock(), shown = 0,
    call = type(wish) == "function" and wish or nil,
  }, Bar)
  if bar.call then bar.call(0, total) end -- which may raise: then there is no bar
  active = bar
  return bar
end


---The `progress` option for part k of `parts` equally long parts of some work: a
---function is told how much of the whole is done.
---@param wish? boolean|function
---@param k integer
---@param parts integer
---@return boolean|function?
function M.part(wish, k, parts)
  if type(wish) ~= "function" then return wish end
  return function(done, total) return wish(done + (k - 1) * total, parts * total) end
end


---Whether a bar would be shown now.
---@return boolean
function M.wanted() return active == nil and core.is_tty(2) end


---Some work is done.
---@param n? number   units (1)
function Bar:add(n)
  if self.silent then return end
  self.count = self.count + (n or 1)
  if self.call then return self.call(self.count, self.total) end
  local now = core.clock()
  local spent = now - self.begun
  local left = spent * (self.total - self.count) / self.count
  if spent < 1 or now - self.shown < 0.1 then return end
  if self.shown == 0 and left < 0.3 then return end -- nearly done: not worth it
  self.shown = now
  local width = core.term_size(2) or 80
  local line = M.line(self.what, math.min(1, self.count / self.total), left, width)
  io.stderr:write("\r", line, (" "):rep((self.length or 0) - #line))
  self.length = #line
end


---Clears the bar's line for something else; the next `add` draws it again.
function Bar:clear()
  if self.silent or active ~= self then return end
  if self.length then io.stderr:write("\r", (" "):rep(self.length), "\r") end
  self.length = nil
end


---Takes the bar off the screen.
function Bar:done()
  if self.silent or active ~= self then return end
  self:clear()
  active = nil
end

function Bar.__close(bar) bar:done() end


---The cost of a layer for one sample, in multiplications. Writing an output value
---counts as 200 of them for a convolution or dense layer, as 20 for all others
---(measured).
---@param layer lunette.Layer
---@return number
function M.cost(layer)
  local n, values = 1, 1
  for _, d in ipairs(layer.shape) do values = values * d end
  local weight = layer.params[1]
  if not weight or #weight.shape < 2 then return 20 * values end
  for i = 2, #weight.shape do n = n * weight.shape[i] end -- products a value
  return (n + 200) * values
end


---A bar over the layers of one forward pass, weighed by their multiplications; an
---inert one where there are less than a second's worth.
---@param net lunette.Net
---@param names table<string, any>   the layers that run
---@param samples integer
---@return lunette.Progress bar
---@return table<string, number> weights
function M.layers(net, names, samples)
  if not M.wanted() then return inert, {} end
  local weights, total = {}, 0
  for _, layer in ipairs(net:layers()) do
    if names[layer.name] then
      local n = M.cost(layer) * samples
      weights[layer.name], total = n, total + n
    end
  end
  if total < 2e10 then return inert, {} end
  return M.start(net.name, total), weights
end

return M
