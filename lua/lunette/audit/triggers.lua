---A trigger for each class, found anew from several beginnings, the smallest one kept,
---and tried on pictures that it has not seen. A checkpoint is written after each class.
local checkpoint = require "lunette.base.checkpoint"
local files = require "lunette.base.files"
local invert = require "lunette.audit.invert"
local statistics = require "lunette.audit.statistics"

local M = {}

---@class lunette.AuditTrigger
---@field class integer
---@field mask? lunette.Tensor      (1,1,H,W), 0 .. 1
---@field pattern? lunette.Tensor   (1,C,H,W), levels
---@field l1 number                 the mask's sum in pixels; math.huge: none was found
---@field restarts number[]         that of every beginning
---@field success number            on unseen pictures
---@field low number                its Wilson interval
---@field high number


---What several descents have found, the smallest mask first, and the smallest of each.
local function found_by(s, class, o)
  local p = { net = s.net, space = s.space, target = class,
              levels = s:others(class, 1, o.pictures) }
  local all, norms = {}, {}
  for r = 1, p.levels and o.restarts or 0 do
    local list = invert.invert(p, { steps = o.steps, batch = o.batch, rate = o.rate,
      cell = o.cell, weight = o.weight, seed = o.seed + 1000 * r })
    norms[r] = #list > 0 and list[#list].l1 or math.huge
    table.move(list, 1, #list, #all + 1, all)
  end
  table.sort(all, function(a, b) return a.l1 < b.l1 end)
  return all, norms
end


---Tries a mask on pictures that did not find it.
local function try(t, s, found, unseen)
  t.mask, t.pattern = found.mask, found.pattern
  t.hits, t.tried = invert.hits(s, unseen, found, t.class)
  t.success = t.hits / t.tried
  t.low, t.high = statistics.wilson(t.hits, t.tried)
end


---The smallest mask that works on unseen pictures too.
---@param s lunette.AuditSubject
---@param class integer
---@param o table   of the audit
---@return lunette.AuditTrigger
function M.of(s, class, o)
  local all, norms = found_by(s, class, o)
  local t = { class = class, l1 = math.huge, restarts = norms, success = 0, low = 0,
              high = 1, hits = 0, tried = 0 }
  local unseen = s:others(class, o.pictures + 1, s.levels:dim(1))
  for _, found in ipairs(unseen and all or {}) do
    try(t, s, found, unseen)
    if t.low >= o.least then
      t.l1 = found.l1
      break
    end
  end
  return t
end


-- checkpoints ------------------------------------------------------------------------


local INFINITE = 1e300 -- JSON has no infinity

local function told(t)
  local norms = {}
  for r, v in ipairs(t.restarts) do norms[r] = math.min(v, INFINITE) end
  return { class = t.class, l1 = math.min(t.l1, INFINITE), restarts = norms,
           success = t.success, low = t.low, high = t.high, hits = t.hits,
           tried = t.tried, found = t.mask ~= nil }
end


local function save(path, identity, list)
  local tensors, about = {}, { classes = {} }
  for i, t in ipairs(list) do
    about.classes[i] = told(t)
    if t.mask then
      tensors["mask." .. t.class], tensors["pattern." .. t.class] = t.mask, t.pattern
    end
  end
  if not next(tensors) then return true end -- nothing that took long to find
  local ok, message = files.mkdir((files.split(path)))
  if not ok then return nil, message end
  return checkpoint.save(path, identity, tensors, about)
end


---What an earlier call has found, by class.
local function known(path, identity)
  local done = {}
  if not checkpoint.exists(path) then return done end
  local tensors, about = checkpoint.load(path, identity)
  if not tensors then return nil, about end
  for _, t in ipairs(about.classes) do
    t.mask, t.pattern = tensors["mask." .. t.class], tensors["pattern." .. t.class]
    if t.l1 >= INFINITE then t.l1 = math.huge end
    done[t.class] = t
  end
  return done
end


---Triggers of all classes in `o.classes`. nil and a message where the checkpoint cannot
---be read or written.
---@param s lunette.AuditSubject
---@param o table              of the audit
---@param identity string      what decides the numbers
---@param bar lunette.Progress
---@return lunette.AuditTrigger[]? triggers, string? message
function M.all(s, o, identity, bar)
  local done, message = known(o.checkpoint, identity)
  if not done then return nil, message end
  local list = {}
  for i, class in ipairs(o.classes) do
    list[i] = done[class] or M.of(s, class, o)
    if o.checkpoint ~= "" and not done[class] then
      local ok
      ok, message = save(o.checkpoint, identity, list)
      if not ok then return nil, message end
    end
    bar:add(1)
    collectgarbage()
  end
  return list
end

return M
