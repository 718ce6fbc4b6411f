---What a call of a method costs: passes through the network, memory and seconds, by
---making the call. Long work is broken off once its pace is known, and the rest is
---reckoned from its progress.
local blame = require "lunette.base.blame"
local core = require "lunette.core"
local known = require "lunette.explain.known"
local passes = require "lunette.net.passes"
local rows = require "lunette.base.rows"
local suggest = require "lunette.base.suggest"

local M = {}

---@class lunette.Cost
---@field forwards number    whole forward passes, a picture each
---@field partial number     forward passes of what follows a layer, a picture each
---@field backwards number   gradients, a picture and a score each
---@field memory integer     most bytes of tensors at once, beyond those before the call
---@field seconds number     here and now, with `lu.threads()` threads
---@field share number       of the work that was done: 1 where nothing is reckoned

local kinds = { "forwards", "partial", "backwards" }

local ENOUGH = {} -- raised by the progress function


---What was used since `start`.
local function used(start)
  local now = { seconds = core.clock() - start.clock }
  for _, kind in ipairs(kinds) do now[kind] = passes[kind] - start[kind] end
  return now
end


---Watches a call's progress: what was used before it and until now, and when to stop.
local function watch(start, budget)
  local seen = {}
  return seen, function(done, total)
    local now = used(start)
    now.done, seen.total = done, total
    seen.first, seen.last = seen.first or now, now
    if done > 0 and done < total and now.seconds > budget then error(ENOUGH, 0) end
  end
end


---The estimate for the whole call: what was used before the first report of progress,
---plus what was used since, extrapolated to all of the work.
local function reckoned(seen)
  local before, now, whole = seen.first, seen.last, {}
  for key in pairs(now) do
    whole[key] = before[key] + (now[key] - before[key]) * seen.total / now.done
  end
  whole.share, whole.done = now.done / seen.total, nil
  return whole
end


local function options_of(row, opts, report)
  local own = {}
  for key, value in pairs(opts or {}) do own[key] = value end
  if row.options.progress then own.progress = report end
  return own
end


---What a call costs: passes (a batch of n pictures counts as n), memory, seconds. The
---call is made, and broken off where it takes longer than `budget` and says how far it
---is; `share` tells how much of it was made.
---Caveat: seconds are of this minute: what else the machine does is in them.
---Example:
---  local net = lu.load "glyphs"
---  local x = net:images(lu.glyphs.default_images(1).images)
---  local cost = lu.cost("rise", net, x, { count = 32 })
---  print(cost.forwards, cost.seconds)
---@param method string|lunette.Method
---@param net lunette.Net
---@param x lunette.Tensor      (N,C,H,W)
---@param opts? table           of the method
---@param budget? number        seconds (math.huge: the whole call)
---@return lunette.Cost
function M.of(method, net, x, opts, budget)
  local row = type(method) == "string" and known.methods[method] or method
  if type(row) ~= "table" then
    blame(("cost: method '%s' not found%s"):format(tostring(method),
          suggest.after(tostring(method), rows.names(known.methods))))
  end
  collectgarbage()
  core.reset_peak()
  local live, start = core.memory().live, { clock = core.clock() }
  for _, kind in ipairs(kinds) do start[kind] = passes[kind] end
  local seen, report = watch(start, budget or math.huge)
  local ok, message = pcall(row, net, x, options_of(row, opts, report))
  if not ok and message ~= ENOUGH then error(message, 0) end
  local cost = ok and used(start) or reckoned(seen)
  cost.share, cost.memory = cost.share or 1, core.memory().peak - live
  return cost
end


return M
